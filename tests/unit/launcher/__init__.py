"""Tests of what starts containers and keeps them running."""
