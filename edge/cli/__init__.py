"""The command `opaca-edge`: one small module for each group of verbs."""
