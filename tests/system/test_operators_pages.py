"""docs/connections.md and docs/tls.md, followed by somebody who does exactly what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli.authority import MOST_DAYS
from edge.cli.tls_renew import DUE
from edge.http.handshakes import SPEAK_HTTPS
from edge.http.limits import Limits
from edge.runtime.peer_link import PeerTiming
from edge.runtime.peer_status import PeerState
from edge.transport.authorities import LOOK_EVERY_S
from tests.contract.running import bundled_toml
from tests.system.reader import ROOT, Reader, blocks, missing

pytestmark = pytest.mark.timeout(60)

CONNECTIONS, TLS = ((ROOT / f"docs/{name}.md").read_text("utf-8") for name in ("connections", "tls"))
PASSWORD = "secret"
# What a person answers is given by the standard input here.
LOGIN = {r"(opaca-edge login .*)": rf"printf '%s' {PASSWORD} | \1 --password-stdin"}


def test_connecting_goes_as_the_page_says(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> None:
    here, there = unused_tcp_port_factory(), unused_tcp_port_factory()
    url = f"http://127.0.0.1:{here}"
    replaced = {r"192\.168\.1\.9:8000": f"127.0.0.1:{there}", **LOGIN}
    reader = Reader(tmp_path, replaced, {"OPACA_EDGE_URL": url, "PLATFORM_ADMIN_PWD": PASSWORD, "HOST": "127.0.0.1"})
    (tmp_path / "there.toml").write_text(bundled_toml({"there": "tests.system.voices:there"}))
    states = {name: {"STATE_DIR": str(tmp_path / name), "PYTHONPATH": str(ROOT)} for name in ("here", "there")}
    alone, back, trusted = [block.text for block in blocks(CONNECTIONS) if block.language == "sh"]
    try:
        reader.start("opaca-edge run --no-bundled", here, **states["here"])
        reader.start("opaca-edge run --config there.toml", there, **states["there"])
        said = reader.type(alone)
        assert "is connected" in said
        assert re.search(rf"127\.0\.0\.1:{there} +connected", said) or "joining" in said
        assert "there" in reader.type(back)
        assert "no connections" in reader.type("opaca-edge connections")
        reader.stop()
        for state in states.values():
            state["REQUIRE_AUTH"] = "true"
        reader.start("opaca-edge run --no-bundled", here, **states["here"])
        reader.start("opaca-edge run --config there.toml", there, **states["there"])
        reader.type(f"opaca-edge login --url {url}")  # which the page takes for granted
        assert "is connected" in reader.type(trusted)
        assert str(here) in reader.type(f"opaca-edge connections --url http://127.0.0.1:{there}")
    finally:
        reader.stop()


def test_what_the_page_says_of_connections_is_so() -> None:
    timing = PeerTiming()
    assert re.findall(r"^\| `([a-z]+)` \|", CONNECTIONS, re.MULTILINE) == [
        "connected", "unfollowed", "refused", "unreadable", "away", "joining",
    ]  # fmt: skip
    assert {state.value for state in PeerState} == set(re.findall(r"^\| `([a-z]+)` \|", CONNECTIONS, re.MULTILINE))
    assert (timing.first_pause_s, timing.longest_pause_s, timing.lost_after_s) == (1, 30, 60)


@missing("openssl", "curl")
def test_tls_goes_as_the_page_says(tmp_path: Path, unused_tcp_port: int) -> None:
    reader = Reader(
        tmp_path,
        {":8000": f":{unused_tcp_port}", r"curl ": "curl -sS ", **LOGIN},
        {"STATE_DIR": str(tmp_path / "state"), "PLATFORM_ADMIN_PWD": PASSWORD, "HOST": "127.0.0.1"},
    )
    pages = [block.text for block in blocks(TLS) if block.language == "sh"]
    assert len(pages) == 4
    made, run, calls, renewed = pages
    try:
        assert re.search(r"server\.pem +valid", reader.type(made))
        reader.start(run, unused_tcp_port)
        said = reader.type(calls)
        assert "logged in at https://localhost" in said
        assert '"openapi"' in said
        assert "a platform that runs takes it within a minute" in reader.type(renewed)
    finally:
        reader.stop()


def test_what_the_page_says_of_tls_is_so() -> None:
    limits = Limits()
    assert f"{MOST_DAYS} days" in TLS
    assert f"within {DUE.days} days" in TLS
    assert LOOK_EVERY_S == 10 and "read again within ten seconds" in TLS
    assert limits.head_time_s == 10 and "A handshake has ten seconds" in TLS
    assert f"and {limits.max_handshakes} may be under way" in TLS
    assert SPEAK_HTTPS.decode().partition(":")[0] in TLS
