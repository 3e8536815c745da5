"""Tests of one part each, without a network beyond this machine."""
