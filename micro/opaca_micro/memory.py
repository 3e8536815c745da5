"""Giving memory back: what is needed once an hour need not stay loaded in between."""

import sys


def forget(name):
    """Let a module of this package go; importing it again brings it back."""
    import opaca_micro

    sys.modules.pop("opaca_micro." + name, None)
    if hasattr(opaca_micro, name):
        delattr(opaca_micro, name)
