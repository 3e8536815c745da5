"""Whom outgoing calls trust under TLS: the system's authorities and those of one more file."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from edge.model.clock import SSL_NO_CHECK_TIME, day, is_surely_wrong

_NO_CHECK_TIME = ssl.VerifyFlags(SSL_NO_CHECK_TIME)


class BadAuthorities(ValueError):
    """A file of authorities that cannot be used; the message says why and names it."""


class Authorities:
    """Makes what https calls are checked with; nothing is read before the first of them."""

    def __init__(self, ca_file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        """Args:
        ca_file: PEM file of authorities to trust besides the system's; None for none.
        clock: Seconds since the epoch.
        """
        self._ca_file = ca_file
        self._clock = clock
        self._context: ssl.SSLContext | None = None

    def check(self) -> None:
        """Read the file. Blocks.

        Raises:
            BadAuthorities: it cannot be used.
        """
        if self._ca_file is not None:
            self._context = self._made()

    async def context(self) -> ssl.SSLContext:
        """Return what the next connection is checked with.

        While the clock is surely wrong (years behind, as at the boot of a machine without one) it says nothing about
        who is valid now: names, signatures and authorities are checked as ever, the time is not.

        Raises:
            BadAuthorities: the file cannot be used.
        """
        if self._context is None:
            self._context = await asyncio.to_thread(self._made)
        if is_surely_wrong(self._clock()):
            self._context.verify_flags |= _NO_CHECK_TIME
        else:
            self._context.verify_flags &= ~_NO_CHECK_TIME
        return self._context

    def _made(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca_file is not None:
            try:
                context.load_verify_locations(self._ca_file)
            except ssl.SSLError as error:
                raise BadAuthorities(f"{self._ca_file}: expected certificates of authorities as PEM") from error
            except OSError as error:
                raise BadAuthorities(f"{self._ca_file}: {error.strerror}") from error
        return context


# What OpenSSL says of those it has no authority for, and of those that are not valid now.
_UNKNOWN_ISSUER = frozenset((2, 18, 19, 20, 21))
_NOT_NOW = frozenset((9, 10))


def certificate_problem(error: Exception) -> str:
    """Return why a certificate was refused, and what to do about it."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return str(error)
    reason = str(error.verify_message).rstrip(".")
    if error.verify_code in _UNKNOWN_ISSUER:
        return f"{reason}; if it should be, name the file of its authority with CA_FILE (--ca-file)"
    if error.verify_code in _NOT_NOW:
        return f"{reason}, or this machine's clock, which says {day(time.time())}, is wrong"
    return reason
