"""Stands in for MicroPython's `esp32`: what wakes the board from deep sleep."""

import world

WAKEUP_ALL_LOW, WAKEUP_ANY_HIGH = 0, 1


def wake_on_ext0(pin, level):
    """End the next deep sleep as soon as the pin has this level; None for never."""
    world.wake = (pin, level)
