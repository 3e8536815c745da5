"""What both ends say of a certificate that one of them does not like, of other protocols, and of slow handshakes."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edge.cli.authority import CA_CERT, SERVER_CERT, SERVER_KEY, Names, make_authority
from edge.cli.main import main
from edge.errors import RemoteError, Unreachable
from edge.http.handshake_failures import HandshakeFailures
from edge.http.limits import Limits
from edge.transport.authorities import Authorities
from edge.transport.http import HttpClient
from tests.contract.certificates import LOOPBACK, certified, certify
from tests.contract.running import PlatformThread, until

QUICK = Limits(head_time_s=1.0, max_handshakes=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an authority and a certificate of it."""
    certified(tmp_path / "tls")
    return tmp_path / "tls"


@contextmanager
def serving(folder: Path, limits: Limits = QUICK) -> Iterator[PlatformThread]:
    settings = {"tls_cert": folder / SERVER_CERT, "tls_key": folder / SERVER_KEY}
    with PlatformThread(folder / "platform", limits=limits, **settings) as platform:
        yield platform


def info_of(url: str, authorities: Authorities) -> bytes:
    async def ask() -> bytes:
        async with HttpClient(authorities=authorities) as client:
            return await client.transport(url).info()

    return asyncio.run(ask())


def refused(url: str, folder: Path | None) -> str:
    """Return what a caller who trusts the authority, or nobody but the system's, is told."""
    with pytest.raises(Unreachable) as told:
        info_of(url, Authorities(None if folder is None else folder / CA_CERT))
    return told.value.message


@pytest.mark.parametrize(
    ("validity", "names", "caller_is_told", "server_says"),
    [
        (
            (-9, -1),
            LOOPBACK,
            r"certificate has expired, or this machine's clock, which says 20.*, is wrong",
            "has expired",
        ),
        ((1, 9), LOOPBACK, r"not yet valid, or this machine's clock, which says 20.*, is wrong", "is valid only from"),
        (
            (-1, 99),
            Names(("pump.lan",), ("10.1.2.3",)),
            r"not valid for '127\.0\.0\.1'; call it by a name",
            "broke off",
        ),
    ],
)
def test_both_ends_say_what_is_wrong_with_a_certificate(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    validity: tuple[float, float],
    names: Names,
    caller_is_told: str,
    server_says: str,
) -> None:
    certify(folder, *validity, names)
    with serving(folder) as platform:
        assert re.search(caller_is_told, refused(platform.base_url, folder))
        until(lambda: server_says in caplog.text, "the server says it")
    if names == LOOPBACK:
        assert f"server.pem {server_says}" in caplog.text


def test_the_server_says_that_nobody_gave_its_authority_to_a_caller(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(folder) as platform:
        assert "CA_FILE" in refused(platform.base_url, None)
        until(lambda: "no TLS with 127.0.0.1: it broke off the handshake" in caplog.text, "who says nothing is named")
        asked = subprocess.run(["curl", "-sS", f"{platform.base_url}/info"], capture_output=True, text=True)
        assert asked.returncode == 60
        until(
            lambda: "does not know the authority of our certificate: give it ca.pem" in caplog.text, "so is the reason"
        )
        for _ in range(3):
            refused(platform.base_url, None)
    assert caplog.text.count("broke off the handshake") == 1


async def test_failures_of_many_addresses_are_said_once_each_and_forgotten_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = HandshakeFailures()
    for number in range(1000):
        failures.note(f"10.0.0.{number}", ConnectionResetError())
        failures.note("10.0.0.0", ConnectionResetError())
    assert len(failures._told) <= 256
    assert caplog.text.count("10.0.0.7:") == 1


def test_who_speaks_http_is_told_to_speak_https(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(folder) as platform:
        url = platform.base_url.replace("https", "http")
        with pytest.raises(RemoteError, match="answered 400") as told:
            info_of(url, Authorities())
        assert told.value.cause is not None
        assert "https://" in str(told.value.cause.message)
        assert main(["info", "--url", url]) == 1
        assert "This port speaks https" in capsys.readouterr().err
        body = "x" * 100_000
        said = subprocess.run(["curl", "-sSi", "-d", body, f"{url}/send/x"], capture_output=True, text=True).stdout
        assert said.startswith("HTTP/1.1 400 ")
        assert said.endswith("This port speaks https: call it by https://, not by http://.\n")


def test_who_speaks_neither_is_cut_off(folder: Path) -> None:
    with serving(folder) as platform, socket.create_connection(platform.address, 5) as caller:
        caller.sendall(b"\x05\x01\x00")
        assert caller.recv(1) == b""


def test_tls_where_only_http_is_spoken_is_said(tmp_path: Path) -> None:
    with PlatformThread(tmp_path) as platform:
        url = platform.base_url.replace("http", "https")
        assert refused(url, None).endswith("it speaks no TLS there; by http:// perhaps")


@contextmanager
def handshake_begun(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Send the beginning of a handshake, and then nothing."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        shaking.do_handshake()
    with socket.create_connection(address, 5) as caller:
        caller.sendall(outgoing.read()[:100])
        yield caller


@pytest.mark.parametrize("stalled", [2, 8, 40])
def test_slow_handshakes_slow_nobody(folder: Path, stalled: int) -> None:
    with serving(folder, Limits(head_time_s=10.0, max_handshakes=8)) as platform:
        trusted = Authorities(folder / CA_CERT)
        info_of(platform.base_url, trusted)
        with ExitStack() as held:
            for number in range(stalled):
                made = handshake_begun(platform.address) if number % 2 else socket.create_connection(platform.address)
                held.enter_context(made)
            for _ in range(5):
                began_s = time.perf_counter()
                info_of(platform.base_url, trusted)
                assert time.perf_counter() - began_s < 5  # a handshake has 10 s


def test_a_slow_handshake_is_given_up_in_time(folder: Path) -> None:
    with serving(folder) as platform, handshake_begun(platform.address) as caller:
        began_s = time.monotonic()
        for byte in range(100):  # a byte now and then buys no time
            try:
                caller.sendall(bytes([byte]))
                caller.settimeout(0.1)
                if caller.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 0.5 < time.monotonic() - began_s < 9  # 10 s, if each of them bought time


def test_the_first_bytes_may_come_in_pieces(folder: Path) -> None:
    context = ssl.create_default_context(cafile=folder / CA_CERT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def turn(step: Callable[[], object], caller: socket.socket) -> object:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                send_slowly(caller, outgoing.read())
                incoming.write(caller.recv(65536))

    def send_slowly(caller: socket.socket, data: bytes) -> None:
        for place in range(0, len(data), 40):
            caller.sendall(data[place : place + 40])
            time.sleep(0.001)

    with serving(folder) as platform, socket.create_connection(platform.address, 5) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turn(shaking.do_handshake, caller)
        shaking.write(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        send_slowly(caller, outgoing.read())
        answer = turn(lambda: shaking.read(12), caller)
        assert answer == b"HTTP/1.1 200"


def test_a_changed_file_of_authorities_is_read_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    trusted = folder / "trusted.pem"
    other = folder / "other"
    make_authority(other, "other")
    trusted.write_bytes((other / CA_CERT).read_bytes())
    authorities = Authorities(trusted, look_every_s=0.0)
    with serving(folder) as platform:
        with pytest.raises(Unreachable, match="not trusted"):
            info_of(platform.base_url, authorities)
        trusted.write_bytes((folder / CA_CERT).read_bytes())
        assert info_of(platform.base_url, authorities)
        trusted.write_text("broken")
        assert info_of(platform.base_url, authorities)
        assert info_of(platform.base_url, authorities)
        assert caplog.text.count("the authorities that were read before stay in use") == 1
        trusted.unlink()
        assert info_of(platform.base_url, authorities)
