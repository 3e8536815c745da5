"""Headers, bodies and URLs from a seed, by an administrator who is up to no good, or whose program is broken."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.contract.wire import request_bytes
from tests.integration.hostile import ALLOWED
from tests.integration.hostile_tokens import WEBSOCKET, Trial

# What is never listened on; connecting to it fails at once.
NOWHERE = "127.0.0.1:9"

_HEADERS = ("Host", "Origin", "Accept", "Content-Type", "ContainerLoginToken", "sender-id", "Upgrade", "Connection",
            "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
            "Idempotency-Key", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-HTTP-Method-Override",
            "Access-Control-Request-Method", "Access-Control-Request-Headers", "Expect", "Range", "Cookie", "Via",
            "X-Original-URL", "X-Rewrite-URL", "Transfer-Encoding", "Content-Encoding", "TE", "Trailer")  # fmt: skip
_VALUES = (
    b"", b" ", b"\x00", b"\xff\xfe", b"\xc3\xa4", b"null", b"undefined", b"*", b"*/*", b"a/b;q=nan", b"text/html",
    b"localhost", b"localhost:99999", b"evil.example", b"127.0.0.1:8000:8000", b"[::1]", b"[::1", b"[::ffff:127.0.0.1]",
    b"user@localhost", b"http://localhost@evil.example", b"null, null", b"http://[", b"file://", b"data:,x", b"//",
    b"0", b"-1", b"9" * 400, b"x" * 8000, b"a, " * 900, b"\x1b[31m", b"%00", b"%0d%0aX: y", b"'\"<script>", b"\\",
    b"websocket", b"Upgrade", b"h2c", b"13", b"dGhlIHNhbXBsZSBub25jZQ==", b"permessage-deflate; x", b"chunked",
    b"identity", b"gzip, deflate", b"100-continue", b"bytes=0-", b"DELETE", b"/users", "\U0001f331".encode(),
    b"application/json;charset=utf-16", b"multipart/form-data; boundary=x", b"\t", b"a" * 250 + b"." + b"b" * 250,
)  # fmt: skip
# None of them changes anything that lasts, nor takes long.
_ROUTES = (
    ("GET", "/info"), ("GET", "/token"), ("GET", "/"), ("GET", "/agents?includeConnected=true"), ("GET", "/users"),
    ("GET", "/subscribe"), ("GET", "/connections"), ("GET", "/edge/containers"), ("GET", "/v3/api-docs/actions"),
    ("POST", "/invoke/Echo"), ("POST", "/send/tester"), ("POST", "/broadcast/other"), ("POST", "/stream/Collect"),
    ("POST", "/containers"), ("PUT", "/containers"), ("DELETE", "/containers/none"), ("POST", "/containers/notify"),
    ("POST", "/containers/login/none"), ("POST", "/users"), ("DELETE", "/users/none"), ("DELETE", "/connections"),
    ("OPTIONS", "/users"), ("HEAD", "/users"),
)  # fmt: skip

_STRINGS = (
    "", " ", "\x00", "a\x00b", "\ud800", "\U0001f331", "\u202e", "../..", "%2e%2e", "'; DROP TABLE users; --", "${x}",
    "{{7*7}}", "\n\rX: y", "admin", "none", "x" * 300, "x" * 40_000, "NaN", "1e999", "true", "null", "[]", "{}", "/",
    "\\",
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, [], [[]], {}, {"a": None}, [None], ["x"] * 500, {"x": {"x": {"x": []}}}, *_STRINGS,
)  # fmt: skip
# Route, and what it takes where all is well: each value in it is bent in turn.
_BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/users", {"username": "admin", "password": "x", "role": "USER", "privileges": ["attach"]}),
    ("PUT", "/users/none", {"username": "x", "password": "x", "role": "GUEST", "privileges": []}),
    ("POST", "/connections", {"url": f"http://{NOWHERE}", "connectBack": True, "token": "x"}),
    ("DELETE", "/connections", {"url": f"http://{NOWHERE}", "connectBack": True, "token": "x"}),
    ("POST", "/containers/login/none", {"username": "x", "password": "x"}),
    ("POST", "/send/none", {"payload": 1, "replyTo": "x"}),
    ("POST", "/broadcast/none", {"payload": 1, "replyTo": "x"}),
    ("POST", "/containers", {
        "image": {"imageName": "none", "requires": [], "provides": [], "apiPort": 8082, "extraPorts": {"1": {}},
                  "parameters": [{"name": "A", "type": "string", "required": True, "confidential": False}],
                  "definitions": {"T": {}}, "definitionsByUrl": {"U": f"http://{NOWHERE}/s"}, "url": "x"},
        "arguments": {"A": "b"}, "pull": False, "clientConfig": {"type": "NATIVE", "memoryMb": 1, "cpuPercent": 1}}),
    ("POST", "/containers", {
        "image": {"imageName": "none"},
        "clientConfig": {"type": "ATTACHED", "url": f"http://{NOWHERE}", "token": "x", "key": "x", "push": False}}),
    ("PUT", "/containers", {"image": {"imageName": "none"}, "clientConfig": {"type": "NATIVE", "restart": "never"}}),
)  # fmt: skip

_SCHEMES = ("http://", "https://", "HTTP://", "hTTp://", "http:", "http:/", "http:///", "//", "", "ws://", "ftp://",
            "file://", "file:///", "gopher://", "data:", "unix://", "http+unix://", "javascript:", "jar:", "dict://",
            "http://http://", "http:\\\\", " http://", "\x00http://", "\uff48ttp://")  # fmt: skip
_HOSTS = (
    NOWHERE, "127.1:9", "2130706433:9", "0x7f000001:9", "0177.0.0.1:9", "0:9", "0.0.0.0:9", "[::1]:9", "[::]:9",
    "[::ffff:127.0.0.1]:9", "[::1%lo]:9", "[::1%25lo]:9", "[::1", "::1", "[127.0.0.1]:9", "[]", "[]:9", "localhost:9",
    "LOCALHOST:9", "localhost.:9", "127.0.0.1.:9", "127.0.0.1%2e:9", "%31%32%37.0.0.1:9", "127.0.0.1%00:9", "%00",
    "user@127.0.0.1:9", "user:pw@127.0.0.1:9", "127.0.0.1:9@evil.invalid", "127.0.0.1:9#@evil.invalid", ":9", ":", "@",
    "127.0.0.1:0", "127.0.0.1:-9", "127.0.0.1:+9", "127.0.0.1: 9", "127.0.0.1:9x", "127.0.0.1:65536", "127.0.0.1:",
    "127.0.0.1:99999999999999999999", "127.0.0.1:\u0669", "127.0.0.1:09", "127.0.0.1:9:9", "127.0.0.1\\@evil.invalid",
    "\uff11\uff12\uff17.0.0.1:9", "\u24db\u24de\u24d2alhost:9", "\u24db%:9", "127\u30020\u30020\u30021:9",
    "x" * 70 + ":9", ".".join(["x" * 60] * 10), "..", "-", "_", "a b", "a\tb", "a\nb", "a\r\nHost: b", "\u202e", "xn--",
    "xn--zzzzzz-", "127.0.0.1:9/..", "127.0.0.1:9/%2e%2e", "127.0.0.1:9//", "127.0.0.1:9/a?b", "127.0.0.1:9/a#b",
    "127.0.0.1:9/\ud800", "127.0.0.1:9/" + "a" * 3000, "127.0.0.1:9/%", "127.0.0.1:9/%zz", "127.0.0.1:9/;a=b",
    "127.0.0.1:9/ä", "?", "#",
)  # fmt: skip
_NAMED = (
    "GET /users/%b", "DELETE /users/none%b", "PUT /users/none%b", "GET /containers/%b", "DELETE /containers/x%b",
    "POST /containers/login/%b", "POST /containers/logout/%b", "GET /edge/containers/%b/log", "GET /agents/%b",
    "POST /send/%b", "POST /invoke/%b", "GET /stream/%b", "GET /swagger-ui/%b", "GET /%b", "GET /users/%b/x",
)  # fmt: skip
_PARAMETERS = ("lines", "follow", "timeout", "includeConnected", "format", "containerId", "forward")
_MARKS = ("\x00", " ", "%", "@", "\\", "\n", "\ud800", "[", "#")


class CallForger:
    """Makes requests; the same seed makes the same ones.

    Args:
        token: An administrator's; empty shows none.
        own_url: Of the platform, which is also tried in the place of other platforms.
    """

    def __init__(self, seed: int, token: str, own_url: str) -> None:
        self._random = random.Random(seed)
        self._shown = {"Authorization": f"Bearer {token}"} if token else {}
        self._own = own_url.removeprefix("http://")
        kinds: list[Callable[[], bytes]] = [
            self._header, self._two_headers, self._handshake, self._body, self._body, self._whole_body,
            self._connection, self._text_url, self._attached, self._schema_url, self._path, self._query,
        ]  # fmt: skip
        self._kinds = {f"{number} {make.__name__.strip('_')}": make for number, make in enumerate(kinds)}

    def trials(self, count: int) -> Iterator[Trial]:
        """Yield this many requests, every kind in turn."""
        names = list(self._kinds)
        for number in range(count):
            kind = names[number % len(names)]
            yield Trial(kind, self._kinds[kind](), ALLOWED | {201, 409, 507})

    def url(self) -> str:
        """Return a URL, or what somebody takes for one."""
        url = self._random.choice(_SCHEMES[:5] if self._random.random() < 0.6 else _SCHEMES)
        url += self._random.choice(_HOSTS) if self._random.random() < 0.9 else self._own
        if self._random.random() < 0.2:
            place = self._random.randrange(len(url) + 1)
            url = (
                url[:place] + self._random.choice(("\x00", " ", "%", "@", "\\", "\n", "\ud800", "[", "#")) + url[place:]
            )
        return url

    def _request(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        sent = {**self._shown, **headers}
        if body:
            sent.setdefault("Content-Type", "application/json")
        return request_bytes(method, path, sent, body)

    def _json(self, method: str, path: str, value: Any) -> bytes:
        return self._request(method, path, json.dumps(value).encode())

    def _with_lines(self, method: str, path: str, lines: bytes) -> bytes:
        body = b"{}" if method in ("POST", "PUT", "DELETE") else b""
        head, _, rest = self._request(method, path, body).partition(b"\r\n\r\n")
        names = {line.split(b":")[0].lower() for line in lines.split(b"\r\n")}
        kept = [line for line in head.split(b"\r\n") if line.split(b":")[0].lower() not in names]
        return b"\r\n".join(kept) + b"\r\n" + lines + b"\r\n\r\n" + rest

    def _line(self) -> bytes:
        return self._random.choice(_HEADERS).encode() + b": " + self._random.choice(_VALUES)

    def _header(self) -> bytes:
        return self._with_lines(*self._random.choice(_ROUTES), self._line())

    def _two_headers(self) -> bytes:
        return self._with_lines(*self._random.choice(_ROUTES), self._line() + b"\r\n" + self._line())

    def _handshake(self) -> bytes:
        headers: dict[str, str] = {**self._shown, **WEBSOCKET}
        if self._random.random() < 0.5:
            headers.pop("Authorization", None)
        if self._random.random() < 0.7:
            headers[self._random.choice(list(headers))] = self._random.choice(_VALUES).decode("latin-1")
        headers[self._random.choice(_HEADERS)] = self._random.choice(_VALUES).decode("latin-1")
        return request_bytes("GET", self._random.choice(("/subscribe", "/subscribe?a", "/info")), headers)

    def _body(self) -> bytes:
        """A good body with one of its values bent, at any depth."""
        method, path, good = self._random.choice(_BODIES)
        body = json.loads(json.dumps(good))
        places = list(_places(body))
        for _ in range(self._random.choice((1, 1, 2, 3))):
            holder, key = self._random.choice(places)
            match self._random.randrange(4):
                case 0 if isinstance(holder, dict):
                    holder[self._random.choice(_STRINGS)] = self._random.choice(_ODD)
                case 1 if isinstance(holder, dict):
                    holder.pop(key, None)
                case _:
                    holder[key] = self._random.choice(_ODD)
        return self._json(method, path, body)

    def _whole_body(self) -> bytes:
        # Names and passwords that are no user's would only wait, ever longer.
        method, path = self._random.choice((("POST", "/login"), *((method, path) for method, path, _ in _BODIES)))
        return self._json(method, path, self._random.choice([odd for odd in _ODD if odd != {}]))

    def _connection(self) -> bytes:
        wish = {"url": self.url(), "connectBack": self._random.random() < 0.3, "token": self._random.choice(_ODD)}
        return self._json(self._random.choice(("POST", "POST", "DELETE")), "/connections", wish)

    def _text_url(self) -> bytes:
        text = self.url().encode("utf-8", "surrogatepass")
        return self._request("POST", "/connections/notify", self._random.choice((b"%b", b'"%b"', b'""%b')) % text)

    def _attached(self) -> bytes:
        """What answers there is nobody; one that sleeps would be listed, so there is none."""
        config = {"type": "ATTACHED", "url": self.url(), "key": self._random.choice(_STRINGS), "push": False}
        return self._json("POST", "/containers?timeout=1", {"image": {"imageName": "none"}, "clientConfig": config})

    def _schema_url(self) -> bytes:
        """A sleeping board that names types by URL: always the same one, so that there is never more than one."""
        image = {"imageName": "none", "definitionsByUrl": {f"T{number}": self.url() for number in range(3)}}
        config = {"type": "ATTACHED", "url": f"http://{NOWHERE}", "key": "sleeper", "push": True}
        return self._json("POST", "/containers", {"image": image, "clientConfig": config})

    def _path(self) -> bytes:
        name = self._random.choice((*_STRINGS[:-8], self.url())).encode("utf-8", "surrogatepass")
        escaped = b"".join(b"%c" % byte if chr(byte).isalnum() and byte < 128 else b"%%%02X" % byte for byte in name)
        place = self._random.choice(_NAMED)
        method, _, path = place.partition(" ")
        raw = path.encode().replace(b"%b", self._random.choice((escaped, name.replace(b" ", b"")))[:6000])
        head, _, rest = self._request(method, "/PATH", b"{}" if method != "GET" else b"").partition(b"/PATH")
        return head + raw.replace(b"\n", b"").replace(b"\r", b"") + rest

    def _query(self) -> bytes:
        name = self._random.choice(
            ("lines", "follow", "timeout", "includeConnected", "format", "containerId", "forward")
        )
        value = self._random.choice((*_STRINGS[:16], "99999999999", "-1", "0", "1e3", "TRUE", "yes", self.url()))
        shown = "".join(f"%{byte:02X}" for byte in value.encode("utf-8", "surrogatepass"))[:6000]
        # Without `follow`, which has no end.
        path = self._random.choice(("/edge/containers/none/log", "/agents", "/v3/api-docs/actions", "/info", "/users"))
        return self._request("GET", f"{path}?{name}={shown}&{name}={shown[:30]}")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where values stand: their holder, and the key or index in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)
