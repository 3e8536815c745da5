"""JSON as the platform understands it: MicroPython's own reader and writer let more through."""

import json
import sys

# A board's stack is a few kilobytes, and each level of a value costs some of it.
_DEEPEST = 20


def decode(body):
    """Read a JSON value from bytes.

    Raises:
        ValueError: it is none, or has a number beyond a double, half a character, or too many levels.
    """
    if b"\\ud" in body or b"\\uD" in body:
        body = _joined(bytes(body))
    value = _read(body)
    check(value)
    return value


def _read(body):
    if sys.implementation.name != "micropython":
        from opaca_micro import cpython

        return cpython.read_json(body)
    # MicroPython takes a value that was cut off for a whole one. What follows it here would end up inside it.
    found = json.loads(b"[" + body + b",7]")
    if len(found) != 2:
        raise ValueError("no JSON")
    return found[0]


def encode(value):
    """Write a JSON value.

    Raises:
        ValueError: JSON cannot say it: nan, infinity, bytes, an object of some class, too many levels.
    """
    check(value)
    return json.dumps(value)


def check(value, levels=_DEEPEST):
    """Raise ValueError where a value is none that JSON can say."""
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError("a number beyond all bounds")
    elif isinstance(value, (list, tuple, dict)):
        if not levels:
            raise ValueError("too many levels")
        is_dict = isinstance(value, dict)
        for item in value:
            if is_dict:
                if not isinstance(item, str):
                    raise ValueError("a key that is no text")
                item = value[item]
            check(item, levels - 1)
    elif value is not None and not isinstance(value, (str, int, bool)):
        raise ValueError("no JSON value: " + type(value).__name__)


def _joined(body):
    """Write characters that come as two escapes as what they are: MicroPython would keep the halves apart."""
    pieces = []
    at = done = 0
    while True:
        at = body.find(b"\\", at)
        if at < 0:
            break
        high = _escaped(body, at)
        if 0xD800 <= high < 0xE000:
            low = _escaped(body, at + 6)
            if high >= 0xDC00 or not 0xDC00 <= low < 0xE000:
                raise ValueError("half a character")
            pieces.append(body[done:at])
            pieces.append(chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00).encode())
            at = done = at + 12
        else:
            at += 2
    pieces.append(body[done:])
    return b"".join(pieces)


def _escaped(body, at):
    if body[at : at + 2] != b"\\u":
        return -1
    return int(body[at + 2 : at + 6], 16)
