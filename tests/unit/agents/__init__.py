"""Tests of `edge.agents`."""
