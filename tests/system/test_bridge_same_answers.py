"""A caller never needs to know where an agent lives: the same request, the same answer, here and through a bridge.

Each request is made to the platform where the agent is, to that platform's base URL at the bridge on the other side,
and to the platform on the other side.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.fixtures import Case, Face, answers, load
from tests.contract.running import Process, until
from tests.contract.test_fixtures import AGENTS
from tests.contract.wire import Response, Wire, WireClosed, chunked, request_bytes
from tests.system.brokers import broker
from tests.system.odd_agents import LONGEST, ODDEST, RESULTS

pytestmark = pytest.mark.timeout(60)

_BUNDLED = """
[[bundled]]
name = "contract"
factory = "tests.contract.container:container"
[[bundled]]
name = "odd"
factory = "tests.system.odd_agents:container"
"""
_DEVICE = '[bridge]\nlisten = "127.0.0.1:0"\n[bridge.device]\nsite = "site"\ngateway = "cloud"\nbroker = "{url}"\n'
_GATEWAY = (
    '[bridge]\nlisten = "127.0.0.1:0"\n[bridge.gateway]\nname = "cloud"\nbroker = "{url}"\n'
    '[bridge.gateway.sites."*"]\nrole = "USER"\nallow = ["*"]\n'
)
_JSON = {"Content-Type": "application/json"}
_COMMON_API = ("/invoke", "/send", "/broadcast", "/stream", "/agents/", "/login")
# More than a bridge carries at once, and what browsers ask before they ask.
_NOT_CARRIED = ("16 MiB", "1 MiB", "a preflight")
_ENDS_HERE = re.compile(r"forward=(no|0|false|off)\b", re.IGNORECASE)


@dataclass
class Way:
    """Platforms that are joined, and the doors to the one that has the agents.

    Attributes:
        direct: Its own API.
        bridge: Its base URL at the other side's bridge.
        far: The other platform's API.
    """

    direct: Face
    bridge: Face
    far: Face

    @property
    def faces(self) -> tuple[Face, Face, Face]:
        return self.direct, self.bridge, self.far


DOORS = pytest.mark.parametrize("number", range(3), ids=["direct", "bridge", "far"])


@pytest.fixture(scope="module", params=["home is asked", "the cloud is asked"])
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    folder = tmp_path_factory.mktemp("way")
    is_home = request.param == "home is asked"
    with ExitStack() as stack:
        url = stack.enter_context(broker(folder / "broker")).url
        bridges = [_DEVICE.format(url=url), _GATEWAY.format(url=url)]
        texts = {"asked": _BUNDLED + bridges[not is_home], "asks": "bundled = []\n" + bridges[is_home]}
        processes = {}
        for side, text in texts.items():
            (folder / side).mkdir()
            (folder / side / "edge.toml").write_text(text)
            settings = {"PORT": "0", "STATE_DIR": str(folder / side / "state")}
            process = Process(["run", "--config", str(folder / side / "edge.toml")], folder / side, settings)
            stack.callback(process.stop)
            process.start()
            processes[side] = process
        for process in processes.values():
            process._wait_for_address()
        asked, asks = processes["asked"], processes["asks"]
        until(lambda: "tester" in asks.ask("GET", "/agents?includeConnected=true").text, "they are joined")
        state = folder / "asks" / "state"
        host, _, port = (state / "bridge-address").read_text().strip().removeprefix("http://").partition(":")
        token = {"Authorization": f"Bearer {(state / 'bridge-token').read_text().strip()}"}
        variables = {"base_url": asked.base_url, "agents": AGENTS, "filler_1k": "x" * 1000}
        variables["container_id"] = asked.ask("GET", "/containers").json()[0]["containerId"]
        base = "/site" if is_home else "/cloud"
        yield Way(
            Face("direct", "platform", asked.address, variables=variables),
            Face("bridge", "platform", (host, int(port)), headers=token, variables=variables, base=base),
            Face("far", "platform", asks.address, variables=variables),
        )


def heard_first(case: Case) -> bool:
    """Tell whether a case looks at the messages that came: then none of other cases may be under way."""
    return not any("/invoke/Heard" in step["request"]["path"] for step in case.steps)


def chosen() -> list[Case]:
    cases = [
        case
        for case in load()
        if "platform" in case.roles
        and case.setup == "container"
        and all(_path(step, case).startswith(_COMMON_API) for step in case.steps)
        and not any(words in case.name for words in _NOT_CARRIED)
    ]
    return sorted(cases, key=heard_first)


def _path(step: dict[str, Any], case: Case) -> str:
    path: str = step["request"]["path"]
    return path.replace("${it}", str(case.variables.get("it")))


CASES = chosen()


def shown(response: Response, face: Face) -> tuple[int, str | None, Any]:
    """What must be the same: status, content type, and body; the generic form of errors names when and where."""
    body: Any = response.body
    if response.header("content-type") == "application/json" and body:
        body = response.json()
        if isinstance(body, dict) and "timestamp" in body:
            body = {**body, "timestamp": 0, "path": body["path"].removeprefix(face.base)}
    elif len(body) > 1000:
        body = f"{len(body)} bytes, CRC {zlib.crc32(body)}"
    return response.status, response.header("content-type"), json.dumps(body) if isinstance(body, dict | list) else body


def is_as_documented(direct: tuple[int, Any, Any], far: tuple[int, Any, Any]) -> bool:
    """Tell whether the platform on the other side answers as it does for every connected platform.

    What the asked one refuses is the cause of a 502; the words of a 400 are free, as each checks arguments itself.
    """
    if direct == far:
        return True
    if far[0] == 502 and direct[0] >= 400:
        return json.dumps(json.loads(far[2])["cause"]) == direct[2]
    return direct[:2] == far[:2] == (400, "application/json") and json.loads(far[2]).keys() == {"statusCode", "message"}


def test_every_fixture_of_the_common_api_is_answered_the_same(way: Way) -> None:
    assert len(CASES) > 300
    differences = []
    for case in CASES:
        direct = [shown(answer, way.direct) for answer in answers(case, way.direct)]
        bridge = [shown(answer, way.bridge) for answer in answers(case, way.bridge)]
        if direct != bridge:
            differences.append((case.name, direct, bridge))
        if any(_ENDS_HERE.search(_path(step, case)) for step in case.steps):
            continue
        far = [shown(answer, way.far) for answer in answers(case, way.far)]
        if not all(map(is_as_documented, direct, far)):
            differences.append((case.name, direct, far))
    assert differences == []


def request(face: Face, method: str, path: str, body: Any = b"", **headers: str) -> bytes:
    """Write a request; a value goes as JSON, a list of bytes in chunks."""
    wanted = {**face.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if isinstance(body, dict):
        wanted, body = {**_JSON, **wanted}, json.dumps(body).encode()
    elif isinstance(body, list):
        wanted, body = {**wanted, "Transfer-Encoding": "chunked"}, chunked(body)
    elif not body:
        wanted = {**wanted, "Content-Length": "0"}
    return request_bytes(method, face.base + path, wanted, body)


def ask(face: Face, method: str, path: str, body: Any = b"", **headers: str) -> Response:
    return exchanged(face, request(face, method, path, body, **headers), method)


def exchanged(face: Face, data: bytes, method: str = "POST") -> Response:
    with Wire(face.address, 30) as wire:
        return wire.exchange(data, method)


def invoke(face: Face, action: str, **arguments: Any) -> Any:
    answer = ask(face, "POST", f"/invoke/{action}/odd", arguments)
    assert answer.status == 200, answer.body
    return answer.json()


def json_of(text: str) -> dict[str, Any]:
    """What is sent as it stands, as JSON."""
    return {"body": text.encode(), "Content_Type": "application/json"}


def odd_requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path, and what goes with it."""
    for what in RESULTS:
        yield "POST", "/invoke/Give/odd", {"body": {"what": what}}
    for error in ("SystemExit", "long", "NotFound", "ParameterMismatch", "NotAllowed", "Overloaded", "TooLarge",
                  "NotStored", "Unreachable", "OutcomeUnknown", "BadAnswer"):  # fmt: skip
        yield "POST", "/invoke/Throw/odd", {"body": {"error": error}}
    for query in ("timeout=-5", "timeout=2147483648", "timeout=", "timeout", "timeout=%31", "containerId=%20", "x=y&&=",
                  "containerId=", "timeout=1&timeout=x", "%ff=1", "agent_id=nobody"):  # fmt: skip
        yield "POST", f"/invoke/Echo/tester?{query}", {"body": {"value": 1}}
    for value in ("9" * 4000, "[" * 98 + "]" * 98, "[" * 100 + "]" * 100, "-0.0", "1E2", '"\\ud800"', "1e999",
                  '"' + "x" * (1024 * 1024 - 12) + '"', '"' + "\\u0000" * 170_000 + '"'):  # fmt: skip
        yield "POST", "/invoke/Echo/tester", json_of(f'{{"value":{value}}}')
    yield "POST", "/invoke/Echo/tester", {"body": [b'{"val', b'ue": 5}'], "Content_Type": "application/json"}
    for name in (LONGEST, ODDEST):
        escaped = quote(name, safe="")
        for path in (
            f"/invoke/Name/{escaped}",
            f"/invoke/Nothing/{escaped}",
            f"/send/{escaped}x",
            f"/invoke/{escaped}",
        ):
            yield "POST", path, {"body": {}}
        yield "GET", f"/agents/{escaped}", {}
        yield "GET", f"/stream/{escaped}", {}
    for path in (
        "/invoke",
        "/invoke/",
        "/invoke/Echo/",
        "/invoke//odd",
        "/invoke/a/b/c",
        "/INVOKE/Echo",
        "/send/",
        "/stream/Void/odd/x",
    ):
        yield "POST", path, {"body": {"payload": 1}}
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        yield method, "/invoke/Echo", {}
    yield "HEAD", "/stream/Void", {}
    for token in ("\xff", "ü", "x" * 12_000):
        yield "POST", "/invoke/Add/tester", {"body": {"x": 1, "y": 1}, "ContainerLoginToken": token}
        yield "GET", "/stream/Count", {"ContainerLoginToken": token}
    for accept in ("text/plain", "application/json;q=0", "text/html,*/*;q=0.1", "rubbish"):
        yield "POST", "/invoke/Echo/tester", {"body": {"value": "x"}, "Accept": accept}
        yield "GET", "/stream/Void/odd", {"Accept": accept}
    for stream in ("Void", "Early", "Midway", "Binary", "Keep", "Unknown"):
        yield "GET", f"/stream/{stream}/odd", {}
    for stream in ("Keep", "Choke", "Shun", "Void", "Unknown"):
        for body in (b"", bytes(range(256)), b"x" * 1_500_000):
            yield "POST", f"/stream/{stream}/odd", {"body": body}
            yield "POST", "/invoke/KeptBytes/odd", {"body": {}}
    for body in ("{}", "[]", '{"payload":1,"x":2}', '{"replyTo":{}}', '{"payload":NaN}', '{"payload":"\\ud800"}',
                 '{"payload":' + "[" * 100 + "]" * 100 + "}", "", "null"):  # fmt: skip
        yield "POST", "/send/odd", json_of(body)
        yield "POST", "/broadcast/nothing", json_of(body)
    yield "POST", "/login", {"body": {"username": "nobody", "password": "wrong"}}
    yield "POST", "/login", {"body": {"username": [], "password": "wrong"}}


def test_odd_requests_are_answered_the_same(way: Way) -> None:
    differences = []
    for method, path, more in odd_requests():
        direct, bridge, far = (outcome(face, method, path, **more) for face in way.faces)
        if direct != bridge or not is_as_documented(direct, far):
            differences.append(
                (method, path[:200], str(more)[:200], str(direct)[:400], str(bridge)[:400], str(far)[:400])
            )
    assert differences == []


def test_what_takes_too_long_is_given_up_with_the_same_answer(way: Way) -> None:
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(outcome, face, "POST", "/invoke/Linger/odd?timeout=1", body={}) for face in way.faces]
    direct, bridge, far = (each.result() for each in asked)
    assert direct == bridge
    assert (direct[0], is_as_documented(direct, far)) == (502, True)


def outcome(face: Face, method: str, path: str, **more: Any) -> tuple[Any, Any, Any]:
    """Return what must be the same; a stream that breaks off has no end."""
    try:
        return shown(ask(face, method, path, **more), face)
    except WireClosed as error:
        return 0, None, str(error)


@DOORS
def test_each_piece_of_a_stream_comes_when_it_is_made_and_as_it_was(way: Way, number: int) -> None:
    face = way.faces[number]
    with closing(Wire(face.address, 30)) as wire:
        wire.send(request(face, "GET", "/stream/Drops/odd"))
        pieces: list[bytes] = []
        for text in ("one", "two", "ä" * 3000, "\0"):
            invoke(way.direct, "Drop", text=text)
            if not pieces:
                response = wire.read_head()
                coming = wire.read_pieces(response)
            pieces.append(next(coming))
        invoke(way.direct, "Drop", text="")
        assert list(coming) == []
    assert pieces == [b"one", b"two", ("ä" * 3000).encode(), b"\0"]

    with closing(Wire(face.address, 30)) as wire:
        headers = {**face.headers, "Transfer-Encoding": "chunked"}
        wire.send(request_bytes("POST", face.base + "/stream/Keep/odd", headers))
        kept: list[str] = []
        for piece in (b"\0\xff", b"two", b"x" * 900):
            wire.send(chunked([piece]).removesuffix(b"0\r\n\r\n"))
            kept.append(piece.hex())
            until(lambda: invoke(way.direct, "Kept") == kept, f"{face.name}: {len(kept)} pieces came")
        wire.send(b"0\r\n\r\n")
        answer = wire.read_response("POST")
    assert (answer.status, answer.body) == (200, b"")


@DOORS
def test_messages_come_as_they_were_sent(way: Way, number: int) -> None:
    face, mine = way.faces[number], f"door {number}"
    payloads = (None, 0, "", [], 2**70, {"ä": [1.5, "\0"]}, "x" * 200_000)
    for payload in payloads:
        answer = ask(face, "POST", "/send/tester", {"payload": payload, "replyTo": mine})
        assert (answer.status, answer.body, answer.header("content-type")) == (200, b"", None)

    def came() -> bool:
        heard = ask(way.direct, "POST", "/invoke/Heard/tester", {}).json()
        return [each["payload"] for each in heard if each["replyTo"] == mine] == [*payloads]

    until(came, "all came, in order")


@pytest.mark.parametrize("path", ["/info", "/agents", "/containers"])
def test_what_the_platform_says_of_itself_is_known_on_the_other_side(way: Way, path: str) -> None:
    until(lambda: ask(way.bridge, "GET", path).json() == ask(way.direct, "GET", path).json(), "it is the same")
