"""Tests of the command, most of them against a stand-in platform."""
