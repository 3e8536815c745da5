"""The host's side of boards: what is copied onto them."""
