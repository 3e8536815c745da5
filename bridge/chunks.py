"""Chunks: how bytes that are no message of their own travel, on the topics `sm/<sid>`.

One byte of flags, four bytes of number, then data. The last chunk ends with the CRC-32 of all data before.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import IntFlag
from typing import NamedTuple

from bridge.envelope import Unreadable

# Where other calls on the connection still pass quickly, and a large body does not take long (16 KiB).
CHUNK_BYTES = 16 * 1024
_HEAD = struct.Struct(">BI")
_CRC = struct.Struct(">I")


class Flag(IntFlag):
    """What a chunk says besides its data."""

    NONE = 0
    LAST = 1
    BROKEN = 2


class Chunk(NamedTuple):
    """One chunk; the data of a broken one is the reason, in words."""

    flags: Flag
    number: int
    data: bytes


def pack(flags: Flag, number: int, data: bytes) -> bytes:
    """Return what travels.

    >>> pack(Flag.LAST, 1, b"ab").hex()
    '01000000016162'
    """
    return _HEAD.pack(flags, number & 0xFFFFFFFF) + data


def unpack(payload: bytes) -> Chunk:
    """Return what came.

    Raises:
        Unreadable: it is no chunk.
    """
    if len(payload) < _HEAD.size:
        raise Unreadable(f"a chunk of {len(payload)} bytes")
    flags, number = _HEAD.unpack_from(payload)
    return Chunk(Flag(flags & 3), number, payload[_HEAD.size :])


def cut(body: bytes, size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield a body as chunks."""
    count = max(1, -(-len(body) // size_bytes))
    for number in range(count):
        data = body[number * size_bytes : (number + 1) * size_bytes]
        is_last = number == count - 1
        yield pack(Flag.LAST if is_last else Flag.NONE, number, data + checksum(zlib.crc32(body)) if is_last else data)


def checksum(crc: int) -> bytes:
    """Return a checksum as the last chunk carries it."""
    return _CRC.pack(crc & 0xFFFFFFFF)


def checked(data: bytes, crc_before: int) -> bytes:
    """Return the data of a last chunk.

    Args:
        data: With the checksum at its end.
        crc_before: CRC-32 of the data of all chunks before.

    Raises:
        Unreadable: the checksum does not fit.
    """
    if len(data) < _CRC.size:
        raise Unreadable("a last chunk without checksum")
    rest, (said,) = data[: -_CRC.size], _CRC.unpack(data[-_CRC.size :])
    if zlib.crc32(rest, crc_before) != said:
        raise Unreadable("the checksum of what came in chunks does not fit")
    return rest
