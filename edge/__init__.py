"""OPACA Edge: an OPACA runtime platform for small computers."""

__version__ = "0.1.0"
