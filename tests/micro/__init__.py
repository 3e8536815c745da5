"""The board stub, on CPython and on the real MicroPython."""
