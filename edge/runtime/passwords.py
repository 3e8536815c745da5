"""Passwords: hashed with scrypt, one at a time and off the loop (design decision 16)."""

from __future__ import annotations

import asyncio
import hmac
import re
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from hashlib import scrypt
from secrets import token_bytes
from types import TracebackType
from typing import Self

from edge.errors import Overloaded

# 16 MiB and about 0.15 s on a Pi 4; the parameters are stored with each hash, so that they may grow.
_LOG_N, _R, _P = 14, 8, 1
_SALT_BYTES = _HASH_BYTES = 32
_MAX_MEMORY_BYTES = 64 * 1024 * 1024
_LONGEST_BYTES = 4096
_MOST_WAITING = 32
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1024 * 1024
_FORM = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([\w+/]+=*)\$([\w+/]+=*)", re.ASCII)

# What no password fits: of users that only ever show a token.
LOCKED = "!"
# Of the empty password, which is the reference's default and no secret; so no start has to compute it.
EMPTY = "$scrypt$ln=14,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$qvz1XkWUdv9r5vB2UucTp/UVJ5rkQ51uGEZfRdILG7M="


class Passwords:
    """Makes and checks hashes, as an async context manager; each takes a while, so few may wait."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_give_memory_back)
        self._waiting = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is being computed takes a fraction of a second; what only waits is dropped.
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return the hash of a password, with a new salt and the parameters in it.

        Raises:
            Overloaded: too many wait already.
        """
        salt = token_bytes(_SALT_BYTES)
        return _written(salt, await self._compute(password, salt, _LOG_N, _R, _P, _HASH_BYTES))

    async def fits(self, password: str, stored: str | None) -> bool:
        """Tell whether a password is the one of a hash; takes as long for None, the hash of an unknown user.

        Raises:
            Overloaded: too many wait already.
        """
        parts = _FORM.fullmatch(stored or "") or _FORM.fullmatch(EMPTY)
        assert parts is not None
        log_n, r, p = (int(parts[number]) for number in (1, 2, 3))
        digest = b64decode(parts[5])
        computed = await self._compute(password, b64decode(parts[4]), log_n, r, p, len(digest))
        is_same = hmac.compare_digest(computed, digest)
        return is_same and stored is not None and stored == parts[0]

    async def _compute(self, password: str, salt: bytes, log_n: int, r: int, p: int, size_bytes: int) -> bytes:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded("too many logins at the same time; try again in a moment")
        secret = password.encode("utf-8", "surrogatepass")
        if len(secret) > _LONGEST_BYTES:
            secret = token_bytes(_SALT_BYTES)  # nobody has such a password

        def compute() -> bytes:
            return scrypt(secret, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MAX_MEMORY_BYTES, dklen=size_bytes)

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, compute)
        finally:
            self._waiting -= 1


def _give_memory_back() -> None:
    """Have large pieces of memory given back to the system whenever they are freed.

    glibc keeps the second 16 MiB that scrypt asks for, for ever: it takes the first for a sign that such pieces are
    used often (mallopt(3), M_MMAP_THRESHOLD). Other C libraries do not, and have no such call.
    """
    import ctypes  # where nobody logs in, it is not needed

    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    except (AttributeError, OSError):
        pass


def _written(salt: bytes, digest: bytes) -> str:
    return f"$scrypt$ln={_LOG_N},r={_R},p={_P}${b64encode(salt).decode()}${b64encode(digest).decode()}"
