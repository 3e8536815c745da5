"""Images of MicroPython's read-only file system: bytecode in one is run where it lies, and costs no heap.

The format is documented with MicroPython ("RomFS filesystem format"): records of kind, length and payload, numbers in
groups of seven bits, the highest first.
"""

from __future__ import annotations

from pathlib import Path

_MAGIC = b"\xd2\xcd\x31"
_DATA, _DIRECTORY, _FILE = 2, 4, 5


def image(folder: Path) -> bytes:
    """Return an image of all files of a folder, in order of their names."""
    entries = _entries(folder)
    length = _number(len(entries))
    # Images are of an even length: a leading group of zeros changes no number.
    if (len(_MAGIC) + len(length) + len(entries)) % 2:
        length = b"\x80" + length
    return _MAGIC + length + entries


def _entries(folder: Path) -> bytes:
    entries = b""
    for path in sorted(folder.iterdir()):
        name = path.name.encode()
        head = _number(len(name)) + name
        if path.is_dir():
            entries += _record(_DIRECTORY, head + _entries(path))
        else:
            entries += _record(_FILE, head + _record(_DATA, path.read_bytes()))
    return entries


def _record(kind: int, payload: bytes) -> bytes:
    return _number(kind) + _number(len(payload)) + payload


def _number(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.insert(0, 0x80 | value & 0x7F)
    return bytes(groups)
