"""Stands in for the parts of MicroPython's `micropython` that device code names; for CPython only."""


def const(value):
    """Return a value that MicroPython's compiler puts in place of its name."""
    return value
