"""A platform under TLS as a whole: streams, subscriptions, files by https, and the plain port that containers keep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType

from edge.cli.authority import CA_CERT, Names, make_certificate
from edge.config import outbound_address
from tests.contract.certificates import certified
from tests.contract.running import until
from tests.system.households import Household
from tests.system.joined import Caller, guarded, platform

pytestmark = pytest.mark.timeout(60)

# It serves a file, and asks the platform that started it.
PROGRAM = """
import http.server, json, os, urllib.request

PLATFORM = os.environ["PLATFORM_URL"]
ACTIONS = [{"name": "Upward", "parameters": {}, "result": {"type": "object"}}]


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/info":
            about = {"containerId": os.environ["CONTAINER_ID"], "image": {"imageName": "asker"},
                     "agents": [{"agentId": "asker", "actions": ACTIONS}], "runningSince": "2026-01-01T00:00:00.000Z"}
            return self.answer(about)
        self.answer("x" * 300_000 if self.path == "/files/long.txt" else None)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = urllib.request.Request(PLATFORM + "/info", headers={"Authorization": "Bearer " + os.environ["TOKEN"]})
        with urllib.request.urlopen(request, timeout=5) as answer:
            self.answer({"asked": PLATFORM, "base": json.load(answer)["baseUrl"], "pid": os.getpid()})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return certified(tmp_path / "tls", "test")


@asynccontextmanager
async def voice(folder: Path, settings: dict[str, str]) -> AsyncIterator[Caller]:
    async with guarded(folder / "there", {"there": "tests.system.voices:there"}, **settings) as (caller, _):
        assert caller.url.startswith("https://")
        yield caller


async def test_streams_pass_piece_by_piece(tmp_path: Path, settings: dict[str, str]) -> None:
    containers = {"lab": "tests.integration.laboratory:container", "there": "tests.system.voices:there"}
    async with platform(tmp_path / "there", containers, **settings) as caller:
        async with caller.session.get(f"{caller.url}/stream/Flood/lab") as response:
            assert len(await response.content.readexactly(1_000_000)) == 1_000_000
        pieces = [b"x" * 60_000 for _ in range(20)]

        async def upload() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        assert (await caller.ask("POST", "/stream/Listen/there", data=upload())).status == 200
        assert (await caller.invoke("Heard", "/there")).json == ["x" * 1_200_000]


async def test_a_subscriber_is_told_and_browsers_may_offer_protocols(tmp_path: Path, settings: dict[str, str]) -> None:
    async with voice(tmp_path, settings) as caller:
        async with caller.session.ws_connect(f"{caller.url}/subscribe", protocols=("chat",)) as socket:
            await socket.send_str("/send")

            async def is_told() -> bool:
                assert (await caller.ask("POST", "/send/there", {"payload": "x"})).status == 200
                try:
                    async with asyncio.timeout(0.2):
                        message = await socket.receive()
                except TimeoutError:
                    return False
                return message.type is WSMsgType.TEXT and json.loads(message.data)["route"] == "POST /send/there"

            give_up = asyncio.timeout(10)
            async with give_up:
                while not await is_told():
                    pass
        assert "overlap" not in caller.process.log


async def test_who_talks_without_pause_slows_nobody(tmp_path: Path, settings: dict[str, str]) -> None:
    """Many connections at once, each with a handshake of its own."""
    async with voice(tmp_path, settings) as caller:
        context = ssl.create_default_context(cafile=tmp_path / "tls" / CA_CERT)
        port = int(caller.url.rpartition(":")[2])

        async def shake() -> None:
            _, writer = await asyncio.open_connection("localhost", port, ssl=context)
            writer.close()

        async with asyncio.TaskGroup() as many:
            for _ in range(60):
                many.create_task(shake())
            for _ in range(10):
                async with asyncio.timeout(5):
                    assert (await caller.invoke("Speak", "/there", text="x")).status == 200


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    """A platform for the whole network, under TLS, whose containers outlive it."""
    files = certified(tmp_path / "tls", names=Names(("localhost",), ("127.0.0.1", outbound_address())))
    trust = {"REQUIRE_AUTH": "true", "PLATFORM_ADMIN_PWD": "secret"}
    home = Household(tmp_path, {**files, **trust, "SESSION_POLICY": "reconnect"})
    try:
        image = home.image("asker", ["python", "-S", "-E", "main.py"])
        (image / "main.py").write_text(PROGRAM)
        yield home
    finally:
        home.clear_away()


class Administrator:
    """Calls a platform by its plain port, as its containers do."""

    def __init__(self, home: Household) -> None:
        login = {"username": "admin", "password": "secret"}
        self._home = home
        self._token = home.ask("POST", "/login", json_body=login).text

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = self._home.ask(method, path, headers=headers, json_body=body, timeout_s=30)
        assert answer.status == 200, answer.text
        return answer


def fetch(url: str, authority: Path) -> bytes:
    context = ssl.create_default_context(cafile=authority)
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        return bytes(answer.read())


def answered(call: Callable[[], object]) -> bool:
    try:
        call()
    except OSError:
        return False
    return True


def test_containers_outlive_a_platform_under_tls_and_find_the_next_one_at_the_same_plain_port(home: Household) -> None:
    home.start()
    admin = Administrator(home)
    container_id = admin.ask("POST", "/containers", {"image": {"imageName": "asker"}}).text
    first = admin.ask("POST", "/invoke/Upward", {}).json()
    assert first["asked"] == home.process.base_url
    assert first["asked"].startswith("http://127.0.0.1:")
    assert first["base"].startswith("https://")
    for end in (home.kill, home.stop):
        end()
        home.start()
        admin = Administrator(home)
        until(lambda admin=admin: container_id in admin.ask("GET", "/containers").text, "it is taken over")  # type: ignore[misc]
        # The same process, with the address and the token that it was given by the first platform.
        assert admin.ask("POST", "/invoke/Upward", {}).json() == {
            **first,
            "base": admin.ask("GET", "/info").json()["baseUrl"],
        }


def test_files_of_containers_are_served_by_https_also_with_a_renewed_certificate(home: Household) -> None:
    if outbound_address() == "127.0.0.1":
        pytest.skip("this machine is in no network")
    home.start()
    admin = Administrator(home)
    container_id = admin.ask("POST", "/containers", {"image": {"imageName": "asker"}}).text
    about = admin.ask("GET", f"/containers/{container_id}").json()["connectivity"]
    assert about["publicUrl"].startswith("https://")
    base_url = f"{about['publicUrl']}:{about['apiPortMapping']}"
    authority = home.folder / "tls" / CA_CERT
    assert len(fetch(f"{base_url}/files/long.txt", authority)) == 300_002
    make_certificate(home.folder / "tls", Names((), (outbound_address(),)), 100)
    os.kill(home.process.pid, signal.SIGHUP)
    home.settles(lambda: "was read again" in home.process.log, "the renewed certificate is read")
    assert len(fetch(f"{base_url}/files/long.txt", authority)) == 300_002
    assert not answered(lambda: fetch(f"{base_url}/info", authority))
    assert not answered(lambda: fetch(f"{base_url.replace('https', 'http')}/files/long.txt", authority))
