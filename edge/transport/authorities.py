"""Whom outgoing calls trust under TLS: the system's authorities and those of one more file."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from edge.model.clock import SSL_NO_CHECK_TIME, day, is_surely_wrong

log = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
_NO_CHECK_TIME = ssl.VerifyFlags(SSL_NO_CHECK_TIME)


class BadAuthorities(ValueError):
    """A file of authorities that cannot be used; the message says why and names it."""


class Authorities:
    """Makes what https calls are checked with; nothing is read before the first of them."""

    def __init__(
        self,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.time,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Args:
        ca_file: PEM file of authorities to trust besides the system's, read again when it changes; None for none.
        clock: Seconds since the epoch.
        look_every_s: How soon a change of the file is seen; only when something is called.
        """
        self._ca_file = ca_file
        self._clock = clock
        self._look_every_s = look_every_s
        self._looked_s = 0.0
        self._seen: tuple[int, int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def check(self) -> None:
        """Read the file. Blocks.

        Raises:
            BadAuthorities: it cannot be used.
        """
        if self._ca_file is not None:
            self._look()

    async def context(self) -> ssl.SSLContext:
        """Return what the next connection is checked with.

        While the clock is surely wrong (years behind, as at the boot of a machine without one) it says nothing about
        who is valid now: names, signatures and authorities are checked as ever, the time is not.

        Raises:
            BadAuthorities: the file cannot be used.
        """
        now_s = time.monotonic()
        is_due = self._ca_file is not None and now_s - self._looked_s >= self._look_every_s
        if self._context is None or is_due:
            self._looked_s = now_s
            await asyncio.to_thread(self._look)
        assert self._context is not None
        if is_surely_wrong(self._clock()):
            self._context.verify_flags |= _NO_CHECK_TIME
        else:
            self._context.verify_flags &= ~_NO_CHECK_TIME
        return self._context

    def _look(self) -> None:
        """Read the file if it has changed; one that cannot be used any more changes nothing."""
        seen = self._state_of_file()
        if self._context is not None and seen == self._seen:
            return
        self._seen = seen
        try:
            made = self._made()
        except BadAuthorities as error:
            if self._context is None:
                raise
            log.error("%s; the authorities that were read before stay in use", error)
            return
        if self._context is not None:
            log.info("%s was read again", self._ca_file)
        self._context = made

    def _state_of_file(self) -> tuple[int, int, int] | None:
        if self._ca_file is None:
            return None
        try:
            status = self._ca_file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

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


# What OpenSSL says of those it has no authority for, of those that are not valid now, and of those for somebody else.
_UNKNOWN_ISSUER = frozenset((2, 18, 19, 20, 21))
_NOT_NOW = frozenset((9, 10))
_OTHER_NAME = frozenset((62, 64))
# What it reads where TLS was expected and something else came.
_NO_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"))


def certificate_problem(error: Exception) -> str:
    """Return why a certificate was refused, and what to do about it."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return str(error)
    reason = str(error.verify_message).rstrip(".")
    if error.verify_code in _UNKNOWN_ISSUER:
        return f"{reason}; if it should be, name the file of its authority with CA_FILE (--ca-file)"
    if error.verify_code in _NOT_NOW:
        return f"{reason}, or this machine's clock, which says {day(time.time())}, is wrong"
    if error.verify_code in _OTHER_NAME:
        return f'{reason}; call it by a name that it has, or give it this one there ("opaca-edge tls renew --help")'
    return reason


def tls_problem(error: ssl.SSLError) -> str:
    """Return why there is no TLS although the certificate is not in question."""
    if error.reason in _NO_TLS:
        return "it speaks no TLS there; by http:// perhaps"
    return f"no TLS with it ({error.reason or error.strerror})"
