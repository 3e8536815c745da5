"""TLS for real: certificates by openssl, real sockets, renewed while running; local containers keep a plain port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli.authority import CA_CERT, SERVER_CERT, SERVER_KEY, Names, make_authority, make_certificate
from edge.cli.main import main
from edge.config import outbound_address
from edge.errors import Unreachable
from edge.http.certificate import BadCertificate, Certificate
from edge.http.limits import Limits
from edge.model.clock import WRITTEN_S
from edge.model.requests import Message
from edge.transport.authorities import Authorities
from edge.transport.http import HttpClient, HttpTransport, Kind
from edge.transport.http_events import subscription
from tests.contract.running import PlatformThread, Process, until
from tests.contract.wire import ask

NAMES = Names(("localhost",), ("127.0.0.1",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and a certificate of it."""
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder, "test")
    make_certificate(folder, NAMES, 100)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    for file in made.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(file.stat().st_mode)
    return tmp_path


@pytest.fixture
def served(made: Path, tmp_path: Path) -> Iterator[PlatformThread]:
    limits = Limits(head_time_s=1.0, max_handshakes=4)
    settings = {"tls_cert": made / SERVER_CERT, "tls_key": made / SERVER_KEY}
    with PlatformThread(tmp_path, limits=limits, **settings) as platform:
        yield platform


def serial_shown(tcp_port: int, authority: Path) -> str:
    """Shake hands and return the serial number of the certificate."""
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection(("127.0.0.1", tcp_port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        certificate = secured.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def curl(*words: str | Path) -> tuple[int, str]:
    ran = subprocess.run(["curl", "-sS", "-m", "5", *map(str, words)], capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def test_https_is_answered_and_the_base_url_says_so(served: PlatformThread, made: Path) -> None:
    assert served.base_url.startswith("https://")
    code, said = curl("--cacert", made / CA_CERT, f"{served.base_url}/info")
    assert code == 0
    assert f'"baseUrl":"{served.base_url}"' in said


def test_who_does_not_know_the_authority_refuses(served: PlatformThread) -> None:
    assert curl(f"{served.base_url}/info")[0] == 60


def test_old_versions_of_tls_are_refused(served: PlatformThread) -> None:
    assert curl("-k", "--tls-max", "1.1", f"{served.base_url}/info")[0] != 0
    assert curl("-k", "--tls-max", "1.2", f"{served.base_url}/info")[0] == 0


def test_who_never_shakes_hands_keeps_nobody_out(served: PlatformThread, made: Path) -> None:
    silent = [socket.create_connection(served.address) for _ in range(12)]
    try:
        assert curl("--cacert", made / CA_CERT, f"{served.base_url}/info")[0] == 0
        for each in silent:
            each.settimeout(20)
            try:
                assert each.recv(1) == b""
            except ConnectionResetError:
                pass
    finally:
        for each in silent:
            each.close()


def test_a_large_answer_arrives_whole(served: PlatformThread, made: Path, tmp_path: Path) -> None:
    target = f"{served.base_url}/swagger-ui/swagger-ui-bundle.js"
    code, _ = curl("--cacert", made / CA_CERT, "--limit-rate", "2M", "-o", tmp_path / "bundle", target)
    assert code == 0
    assert (tmp_path / "bundle").stat().st_size > 500_000


def test_calls_and_subscriptions_trust_the_file_of_authorities(served: PlatformThread, made: Path) -> None:
    async def call() -> None:
        async with HttpClient(authorities=Authorities(made / CA_CERT)) as client:
            transport = client.transport(served.base_url, kind=Kind.PLATFORM)
            async with subscription(client, served.base_url, "", "/broadcast") as events, asyncio.TaskGroup() as tasks:
                talking = tasks.create_task(talk(transport))  # until it has been heard that somebody listens
                assert (await anext(aiter(events))).route == "POST /broadcast/news"
                talking.cancel()

    async def talk(transport: HttpTransport) -> None:
        while True:
            await transport.broadcast("news", Message("x"))

    asyncio.run(call())


def test_a_wrong_clock_hides_no_valid_certificate_but_trusts_no_other(served: PlatformThread, made: Path) -> None:
    async def call(authorities: Authorities) -> None:
        async with HttpClient(authorities=authorities) as client:
            assert await client.transport(served.base_url).info()

    asyncio.run(call(Authorities(made / CA_CERT, lambda: 0.0)))
    with pytest.raises(Unreachable, match=r"is not trusted: .*CA_FILE \(--ca-file\)"):
        asyncio.run(call(Authorities(None, lambda: 0.0)))


async def test_only_a_clock_that_is_surely_wrong_leaves_the_time_unchecked() -> None:
    unchecked = 0x200000
    now_s = [0.0]
    authorities = Authorities(None, lambda: now_s[0])
    assert (await authorities.context()).verify_flags & unchecked
    now_s[0] = WRITTEN_S
    assert not (await authorities.context()).verify_flags & unchecked


def test_the_command_speaks_tls_and_says_why_not(
    served: PlatformThread, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPACA_EDGE_CA_FILE", str(made / CA_CERT))
    assert main(["info", "--url", served.base_url]) == 0
    monkeypatch.delenv("OPACA_EDGE_CA_FILE")
    assert main(["info", "--url", served.base_url]) == 3
    assert "is not trusted" in capsys.readouterr().err
    assert main(["info", "--url", served.base_url, "--ca-file", "/nowhere.pem"]) == 2
    assert "/nowhere.pem: No such file" in capsys.readouterr().err


def test_a_renewed_certificate_is_taken_while_running_and_containers_have_a_plain_port(folder: Path) -> None:
    settings = {
        "TLS_CERT": str(folder / SERVER_CERT),
        "TLS_KEY": str(folder / SERVER_KEY),
        "STATE_DIR": str(folder / "state"),
        "PORT": "0",
    }
    # The first address in the log is the one without TLS.
    with Process(["run", "--no-bundled"], folder, settings) as platform:
        assert platform.ask("GET", "/info").status == 200
        local_port = platform.address[1]
        if (elsewhere := outbound_address()) != "127.0.0.1":
            with pytest.raises(ConnectionRefusedError):
                ask((elsewhere, local_port), "GET", "/info")
        until(lambda: "answers on https" in platform.log, "the address is said")
        found = re.search(r"answers on https://[\d.]+:(\d+)", platform.log)
        assert found is not None
        first = serial_shown(int(found[1]), folder / CA_CERT)
        make_certificate(folder, NAMES, 100)
        os.kill(platform.pid, signal.SIGHUP)
        until(lambda: serial_shown(int(found[1]), folder / CA_CERT) != first, "the new one is shown")
        (folder / SERVER_CERT).write_text("broken")
        os.kill(platform.pid, signal.SIGHUP)
        until(lambda: "stays in use" in platform.log, "the fault is said")
        assert serial_shown(int(found[1]), folder / CA_CERT) != first
    with Process(["run", "--no-bundled"], folder, {**settings, "TLS_CERT": "", "TLS_KEY": ""}) as platform:
        assert platform.ask("GET", "/info").status == 200


def test_changed_files_are_seen_without_a_signal(folder: Path) -> None:
    certificate = Certificate(folder / SERVER_CERT, folder / SERVER_KEY)
    before = certificate.context
    certificate.look()
    assert certificate.context is before
    make_certificate(folder, NAMES, 100)
    certificate.look()
    assert certificate.context is not before


@pytest.mark.parametrize(
    ("now_s", "said"),
    [(0.0, "1970-01-01, is wrong"), (WRITTEN_S, "is valid only from"), (WRITTEN_S * 2, "has expired on")],
)
def test_time_is_judged_by_a_clock_that_may_be_wrong(
    made: Path, now_s: float, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    Certificate(made / SERVER_CERT, made / SERVER_KEY, clock=lambda: now_s)
    assert said in caplog.text


def test_files_that_cannot_be_used_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cert, key = folder / SERVER_CERT, folder / SERVER_KEY
    with pytest.raises(BadCertificate, match="none: No such file"):
        Certificate(folder / "none", key)
    with pytest.raises(BadCertificate, match="Is a directory"):
        Certificate(cert, folder)
    with pytest.raises(BadCertificate, match=r"ca\.key is not the key of"):
        Certificate(cert, folder / "ca.key")
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", folder / "locked"], check=True
    )
    with pytest.raises(BadCertificate, match="protected by a password"):
        Certificate(cert, folder / "locked")
    key.chmod(0o644)
    Certificate(cert, key)
    assert f"chmod o= {key}" in caplog.text
    cert.write_text("x")
    with pytest.raises(BadCertificate, match="expected a certificate"):
        Certificate(cert, key)


def test_init_show_and_renew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "tls")
    assert main(["tls", "init", "--out", out, "--name", "pump.lan", "--address", "10.1.2.3"]) == 0
    assert f"opaca-edge run --tls-cert {out}/server.pem" in capsys.readouterr().out
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in Path(out).iterdir()} == {
        "ca.pem": "0o644", "ca.key": "0o600", "server.pem": "0o644", "server.key": "0o600",
    }  # fmt: skip
    assert main(["tls", "init", "--out", out]) == 1
    assert main(["tls", "renew", "--out", out, "--days", "5"]) == 0
    assert main(["tls", "show", "--out", out]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"server\.pem +valid .*localhost, pump\.lan, .*10\.1\.2\.3", shown)
    subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", f"{out}/ca.pem", f"{out}/server.pem"], check=True)


@pytest.mark.parametrize("words", [("--name", "a,DNS:b"), ("--address", "pi"), ("--days", "900")])
def test_init_refuses_what_cannot_be_in_a_certificate(
    tmp_path: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tls", "init", "--out", str(tmp_path / "tls"), *words]) == 2
    assert words[1] in capsys.readouterr().err
    assert not (tmp_path / "tls").exists()


def test_without_openssl_it_is_said_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["tls", "init", "--out", str(tmp_path / "tls")]) == 1
    assert "apt install openssl" in capsys.readouterr().err
