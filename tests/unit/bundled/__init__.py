"""Tests of `edge.bundled`."""
