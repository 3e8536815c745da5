"""Reading the fixtures and holding a server to them; the grammar stands in README.md."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.patterns import mismatch
from tests.contract.wire import Address, Response, Wire, chunked, request_bytes

FOLDER = Path(__file__).with_name("fixtures")

ROLES = ("platform", "container")
SETUPS = ("empty", "container", "auth")

_CASE_KEYS = {
    "name",
    "applies",
    "setup",
    "each",
    "differs",
    "request",
    "expect",
    "capture",
    "eventually",
    "steps",
    "why",
}
_STEP_KEYS = {"request", "expect", "capture", "eventually"}
_REQUEST_KEYS = {"method", "path", "headers", "json", "text", "base64", "parts", "chunked"}
_EXPECT_KEYS = {"status", "headers", "json", "text", "base64", "zero", "ER", "GE", "TX"}
_EVENTUALLY_S = 20.0

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class BadFixture(Exception):
    """A fixture does not follow the grammar."""


@dataclass(frozen=True)
class Case:
    """One thing that the contract says, as one or more exchanges.

    Attributes:
        roles: Which roles it binds: `platform`, `container`.
        setup: What the platform under test holds: `empty`, `container`, `auth`; a container is itself.
        differs: Trait of a face -> why it is known not to hold there.
    """

    name: str
    roles: tuple[str, ...]
    setup: str
    differs: dict[str, str]
    steps: tuple[dict[str, Any], ...]
    variables: dict[str, Any]


@dataclass
class Face:
    """A server that is held to the fixtures.

    Attributes:
        traits: What a fixture's `differs` may name, e.g. `micropython`.
        headers: Sent with every request that does not name them itself.
        variables: What fixtures may use as `${name}`; each case starts from these.
        base: Put before each path, for a server that is not at the root.
    """

    name: str
    role: str
    address: Address
    traits: frozenset[str] = frozenset()
    headers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    base: str = ""


def load(folder: Path = FOLDER) -> list[Case]:
    """Read every fixture file of a folder, in order of their names.

    Raises:
        BadFixture: a key, role or setup that the grammar does not know, or a name that is used twice.
    """
    cases: list[Case] = []
    for path in sorted(folder.glob("*.json")):
        cases += _cases(path.stem, json.loads(path.read_text("utf-8")))
    names = [case.name for case in cases]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise BadFixture(f"names used twice: {sorted(doubled)}")
    return cases


def _cases(stem: str, document: dict[str, Any]) -> list[Case]:
    if unknown := set(document) - {"about", "applies", "setup", "cases"}:
        raise BadFixture(f"{stem}: unknown {sorted(unknown)}")
    cases = []
    for entry in document["cases"]:
        where = f"{stem}: {entry.get('name')}"
        if unknown := set(entry) - _CASE_KEYS:
            raise BadFixture(f"{where}: unknown {sorted(unknown)}")
        applies = entry.get("applies", document["applies"])
        if applies not in (*ROLES, "both"):
            raise BadFixture(f"{where}: applies {applies!r}")
        setup = entry.get("setup", document.get("setup", "container"))
        if setup not in SETUPS:
            raise BadFixture(f"{where}: setup {setup!r}")
        steps = entry.get("steps") or [{key: entry[key] for key in _STEP_KEYS if key in entry}]
        for step in steps:
            _check_step(step, where)
        for row in entry.get("each", [{}]):
            variables = row if isinstance(row, dict) else {"it": row}
            name = f"{stem}: {_filled(entry['name'], variables)}"
            roles = ROLES if applies == "both" else (applies,)
            cases.append(Case(name, roles, setup, entry.get("differs", {}), tuple(steps), variables))
    return cases


def _check_step(step: dict[str, Any], where: str) -> None:
    request, expect = step.get("request", {}), step.get("expect", {})
    unknown = (set(step) - _STEP_KEYS) | (set(request) - _REQUEST_KEYS) | (set(expect) - _EXPECT_KEYS)
    if unknown:
        raise BadFixture(f"{where}: unknown {sorted(unknown)}")
    if not {"method", "path"} <= set(request) or "status" not in expect:
        raise BadFixture(f"{where}: a request needs method and path, an expectation status")
    if len(set(request) & {"json", "text", "base64", "parts"}) > 1:
        raise BadFixture(f"{where}: more than one body")


def hold(case: Case, face: Face) -> None:
    """Play a case against a face.

    Raises:
        AssertionError: the face does not do what the contract says.
    """
    for number, (_, found) in enumerate(_played(case, face), 1):
        assert not found, f"{face.name}: {case.name}, step {number}: {found}"


def answers(case: Case, face: Face) -> list[Response]:
    """Play a case against a face and return its answers, right or wrong."""
    return [response for response, _ in _played(case, face)]


def _played(case: Case, face: Face) -> Iterator[tuple[Response, str | None]]:
    variables = {**face.variables, **_filled(case.variables, face.variables)}
    for step in case.steps:
        response, found = _play(step, face, variables)
        deadline = time.monotonic() + _EVENTUALLY_S
        while found and step.get("eventually") and time.monotonic() < deadline:
            time.sleep(0.02)
            response, found = _play(step, face, variables)
        yield response, found


def _play(step: dict[str, Any], face: Face, variables: dict[str, Any]) -> tuple[Response, str | None]:
    request = _filled(step["request"], variables)
    method, data = _request(request, face)
    with Wire(face.address) as wire:
        response = wire.exchange(data, method)
    found = wrong(response, _filled(step["expect"], variables))
    if found:
        shown = response.body[:400].decode("utf-8", "replace")
        return response, f"{found}\n  {method} {request['path']} -> {response.status} {shown!r}"
    for name, source in step.get("capture", {}).items():
        variables[name] = response.text if source == "$text" else _pointed(response.json(), source)
    return response, None


def _request(request: dict[str, Any], face: Face) -> tuple[str, bytes]:
    body = _body(request)
    wanted = dict(request.get("headers", {}))
    named = {name.lower() for name in wanted}
    if body and "content-type" not in named:
        wanted["Content-Type"] = "application/json"
    wanted |= {name: value for name, value in face.headers.items() if name.lower() not in named}
    if request.get("chunked"):
        wanted["Transfer-Encoding"] = "chunked"
        middle = len(body) // 2
        body = chunked([body[:middle], body[middle:]])
    headers = {name: value for name, value in wanted.items() if value is not None}
    host = "{}:{}".format(*face.address)
    return request["method"], request_bytes(request["method"], face.base + request["path"], headers, body, host)


def _body(request: dict[str, Any]) -> bytes:
    if "json" in request:
        return json.dumps(request["json"], ensure_ascii=False).encode()
    if "text" in request:
        return str(request["text"]).encode()
    if "base64" in request:
        return base64.b64decode(request["base64"])
    return "".join(part["text"] * part.get("times", 1) for part in request.get("parts", [])).encode()


def wrong(response: Response, expect: dict[str, Any]) -> str | None:
    """Say in what an answer differs from the expectation, None if in nothing."""
    statuses = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    if response.status not in statuses:
        return f"expected status {expect['status']}, got {response.status}"
    for name, pattern in expect.get("headers", {}).items():
        if found := _wrong_header(name, pattern, response.header(name)):
            return found
    if expect.get("zero") and response.body:
        return f"expected zero bytes, got {response.body[:200]!r}"
    if "text" in expect and response.body != expect["text"].encode():
        return f"expected exactly {expect['text']!r}, got {response.body[:200]!r}"
    if "base64" in expect and response.body != base64.b64decode(expect["base64"]):
        return f"expected the bytes {base64.b64decode(expect['base64'])[:200]!r}, got {response.body[:200]!r}"
    return _wrong_json(response, expect)


def _wrong_json(response: Response, expect: dict[str, Any]) -> str | None:
    if "TX" in expect:
        return None if response.body and not response.body.startswith(b"{") else f"expected text, got {response.body!r}"
    if not set(expect) & {"json", "ER", "GE"}:
        return None
    try:
        value = response.json()
    except ValueError as error:
        return f"no JSON: {error}"
    if found := _wrong_header("content-type", "application/json", response.header("content-type")):
        return found
    if "ER" in expect:
        return wrong_error(value, response.status) or mismatch({"$like": expect["ER"]}, value)
    if "GE" in expect:
        shape = {
            "timestamp": {"$any": "timestamp-ms"},
            "status": response.status,
            "error": {"$any": "text"},
            "path": {"$any": "string"},
            **expect["GE"],
        }
        return mismatch(shape, value)
    return mismatch(expect["json"], value)


def wrong_error(value: Any, status: int) -> str | None:
    """Say in what a JSON value is no ErrorResponse of this project (contract, Decision 1), at every depth."""
    if not isinstance(value, dict):
        return f"expected an error object, got {value!r}"
    if value.get("statusCode") != status:
        return f"statusCode is {value.get('statusCode')!r}, the status is {status}"
    where, inner = "error", value
    while True:
        if set(inner) - {"cause"} != {"statusCode", "message"}:
            return f"{where} has the keys {sorted(inner)}"
        code, message = inner["statusCode"], inner["message"]
        if code is not None and (not isinstance(code, int) or isinstance(code, bool)):
            return f"{where}.statusCode is {code!r}"
        if message is not None and not isinstance(message, str):
            return f"{where}.message is {message!r}"
        if where == "error" and not message:
            return "the error says nothing"
        if "Traceback" in (message or ""):
            return f"{where}.message holds a traceback"
        if "cause" not in inner:
            return None
        where, inner = f"{where}.cause", inner["cause"]
        if not isinstance(inner, dict):
            return f"{where} is {inner!r}"


def _wrong_header(name: str, pattern: Any, value: str | None) -> str | None:
    if pattern is None:
        return None if value is None else f"header {name} is {value!r}, expected none"
    if value is None:
        return f"header {name} is missing"
    if isinstance(pattern, dict) and "$set" in pattern:
        wanted = {one.lower() for one in pattern["$set"]}
        got = {one.strip().lower() for one in value.split(",")}
        return None if got == wanted else f"header {name} names {sorted(got)}, expected {sorted(wanted)}"
    if isinstance(pattern, dict):
        return mismatch(pattern, value, f"header {name}")
    same = _plain(name, value) == _plain(name, pattern)
    return None if same else f"header {name} is {value!r}, expected {pattern!r}"


def _plain(name: str, value: str) -> str:
    return value.replace(" ", "").lower() if name.lower() == "content-type" else value


def _pointed(value: Any, pointer: str) -> Any:
    for key in pointer.split("/")[1:]:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def _filled(node: Any, variables: dict[str, Any]) -> Any:
    """Put variables in: a text that is nothing but `${name}` becomes the value, else the value's text."""
    if isinstance(node, dict):
        return {_filled(key, variables): _filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, variables) for value in node]
    if not isinstance(node, str):
        return node
    whole = _VARIABLE.fullmatch(node)
    if whole and whole[1] in variables:
        return variables[whole[1]]

    def text(found: re.Match[str]) -> str:
        value = variables.get(found[1], found[0])
        return value if isinstance(value, str) else json.dumps(value)

    return _VARIABLE.sub(text, node)
