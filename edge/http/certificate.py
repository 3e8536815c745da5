"""The certificate that a server shows: checked when it is read, and read again when it was renewed."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.model.clock import SSL_NO_CHECK_TIME, day, is_surely_wrong

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
_WARN_BEFORE_S = 30 * 24 * 3600
# A handshake between two ends in one process takes fewer turns.
_MOST_TURNS = 8


class BadCertificate(Exception):
    """A pair of certificate and key that cannot be used; the message says why and names the file."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A certificate in use.

    Attributes:
        context: What handshakes are made with.
        starts_s: When its validity begins, in seconds since the epoch.
        ends_s: When it ends.
    """

    context: ssl.SSLContext
    starts_s: float
    ends_s: float


class Certificate:
    """A certificate and its key in PEM files; `run` watches them.

    Reading blocks: make it in a thread.
    """

    def __init__(
        self,
        cert_file: Path,
        key_file: Path,
        wanted: asyncio.Event | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Args:
            cert_file: The certificate, followed by those of the authorities between it and the root, if there are any.
            key_file: Its key, without a password.
            wanted: Set from outside to have `run` read the files now.
            clock: Seconds since the epoch.
        Raises:
            BadCertificate: the pair cannot be used. One that has ended can: only its callers may refuse it.
        """
        self._cert_file = cert_file
        self._key_file = key_file
        self._clock = clock
        self._wanted = wanted or asyncio.Event()
        self._said = ""
        self._seen = self._state_of_files()
        self._pair = self._read()
        self._warn_of_readers()
        self._say_validity()

    @property
    def context(self) -> ssl.SSLContext:
        """What the next handshake is made with."""
        return self._pair.context

    async def run(self, look_every_s: float = LOOK_EVERY_S) -> None:
        """Read the files again whenever they change or somebody asks for it; never ends by itself."""
        while True:
            try:
                async with asyncio.timeout(look_every_s):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            is_asked = self._wanted.is_set()
            self._wanted.clear()
            await asyncio.to_thread(self.look, is_asked)

    def look(self, is_asked: bool = False) -> None:
        """Read the files if they changed, or anyway; a pair that cannot be used changes nothing. Blocks."""
        seen = self._state_of_files()
        if is_asked or seen != self._seen:
            self._seen = seen
            try:
                self._pair = self._read()
            except BadCertificate as error:
                log.error("%s; the certificate that was read before stays in use", error)
            else:
                log.info("%s was read again: it is valid until %s", self._cert_file, day(self._pair.ends_s))
                self._warn_of_readers()
        self._say_validity()

    def _state_of_files(self) -> list[tuple[int, int, int] | None]:
        return [_state_of(path) for path in (self._cert_file, self._key_file)]

    def _read(self) -> _Pair:
        context = _server_context()
        for path in (self._cert_file, self._key_file):
            try:
                with path.open("rb"):
                    pass
            except OSError as error:
                raise BadCertificate(f"{path}: {error.strerror}") from error
        try:
            context.load_cert_chain(self._cert_file, self._key_file, password=self._no_password)
            starts_s, ends_s = _validity(context, self._cert_file)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise BadCertificate(f"{self._key_file} is not the key of {self._cert_file}") from error
            raise BadCertificate(
                f"{self._cert_file} and {self._key_file}: expected a certificate for a server and its key, both as PEM"
                f" ({error.reason or error})"
            ) from error
        except OSError as error:
            raise BadCertificate(f"{self._cert_file} or {self._key_file}: {error.strerror}") from error
        return _Pair(context, starts_s, ends_s)

    def _no_password(self) -> str:
        # Without this OpenSSL would ask on the terminal, and wait.
        raise BadCertificate(f"{self._key_file} is protected by a password; expected a key without one")

    def _warn_of_readers(self) -> None:
        if self._key_file.stat().st_mode & 0o007:
            log.warning("everybody on this machine may read the key %s: chmod o= %s", self._key_file, self._key_file)

    def _say_validity(self) -> None:
        """Log what is wrong with the certificate's time, once."""
        severity, said = self._judgement(self._clock())
        if said != self._said:
            self._said = said
            if said:
                log.log(severity, "%s", said)

    def _judgement(self, now_s: float) -> tuple[int, str]:
        clock = f"this machine's clock, which says {day(now_s)}"
        if is_surely_wrong(now_s):
            return logging.WARNING, (
                f"{clock}, is wrong: whether {self._cert_file} is valid now is looked at again when it is right"
            )
        if now_s < self._pair.starts_s:
            begins = day(self._pair.starts_s)
            return (
                logging.ERROR,
                f"{self._cert_file} is valid only from {begins} on, callers refuse it; or {clock}, is wrong",
            )
        if now_s >= self._pair.ends_s:
            ended = day(self._pair.ends_s)
            return logging.ERROR, f"{self._cert_file} has expired on {ended}, callers refuse it; or {clock}, is wrong"
        if now_s >= self._pair.ends_s - _WARN_BEFORE_S:
            return logging.WARNING, f"{self._cert_file} expires on {day(self._pair.ends_s)}: renew it until then"
        return logging.INFO, ""


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _validity(server: ssl.SSLContext, cert_file: Path) -> tuple[float, float]:
    """Return when a certificate's validity begins and ends.

    Python tells that of a peer's certificate only, so the context shakes hands with one that trusts exactly this.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | SSL_NO_CHECK_TIME)
    client.load_verify_locations(cert_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server)
    for _ in range(_MOST_TURNS):
        if all([_shake(here), _shake(there)]):
            break
    shown = here.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(shown["notBefore"])), ssl.cert_time_to_seconds(str(shown["notAfter"]))


def _shake(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
