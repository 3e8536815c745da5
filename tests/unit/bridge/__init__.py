"""Tests of the bridge's parts, without a broker."""
