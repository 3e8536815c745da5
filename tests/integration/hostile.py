"""Hostile requests from a seed: malformed, oversized, truncated, deeply nested, wrongly encoded, smuggling, mutated."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.contract.wire import chunked, request_bytes

# Stands in requests that must never be taken for requests of their own.
SMUGGLED = b"smuggled"

# What a hostile request may be answered with; 200 where it happens to be harmless, or 101 where it is a WebSocket.
ALLOWED = frozenset(
    (101, 200, 302, 400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 415, 417, 422, 426, 431, 501, 502, 503, 505)
)

JSON_ROUTES = ("/invoke/Echo/tester", "/invoke/Area", "/send/two%20+%C3%BC", "/broadcast/other", "/containers")
ROUTES = (
    *(("POST", path) for path in JSON_ROUTES),
    *(("GET", path) for path in ("/info", "/agents/tester", "/containers", "/stream/Count", "/history", "/subscribe")),
    ("POST", "/stream/Collect"),
    ("POST", "/containers/notify"),
    ("PUT", "/containers"),
    ("DELETE", "/containers/none"),
    ("OPTIONS", "/info"),
    ("HEAD", "/agents"),
    ("GET", "/v3/api-docs/actions?format=YAML"),
)

_JSON = {"Content-Type": "application/json"}
_BODY = b'{"value": {"a": [1, 2.5, "\\u00e4", null, true]}}'
_INNER = request_bytes("POST", "/broadcast/news", _JSON, b'{"payload": "%b"}' % SMUGGLED)


@dataclass(frozen=True)
class Hostile:
    """One input.

    Attributes:
        kind: Which generator made it.
        data: What is sent on one connection.
    """

    kind: str
    data: bytes


class Generator:
    """Makes inputs; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        kinds: list[Callable[[], bytes]] = [
            self._request_line, self._headers, self._length, self._chunks, self._smuggling, self._line_ends,
            self._path, self._query, self._broken_json, self._deep_json, self._wide_json, self._encoding, self._values,
            self._oversized, self._truncated, self._content_types, self._websocket, self._mutated, self._mutated,
            self._other_protocols,
        ]  # fmt: skip
        self._kinds = {make.__name__.strip("_"): make for make in kinds}

    def inputs(self, count: int) -> Iterator[Hostile]:
        """Yield this many inputs, every kind in turn."""
        names = list(self._kinds)
        for number in range(count):
            kind = names[number % len(names)]
            yield Hostile(kind, self._kinds[kind]())

    def _pick(self, *choices: bytes) -> bytes:
        return self._random.choice(choices)

    def _noise(self, most: int = 40) -> bytes:
        return self._random.randbytes(self._random.randint(1, most))

    def _good(self) -> bytes:
        method, path = self._random.choice(ROUTES)
        headers = dict(_JSON) if method in ("POST", "PUT") else {}
        if path == "/subscribe":
            headers |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
            headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        if self._random.random() < 0.3:
            headers |= {"Origin": "http://ui.example", "sender-id": "someone", "Accept": "*/*"}
        body = _BODY if method in ("POST", "PUT") else b""
        if body and self._random.random() < 0.3:
            return request_bytes(
                method, path, {**headers, "Transfer-Encoding": "chunked"}, chunked([body[:9], body[9:]])
            )
        return request_bytes(method, path, headers, body)

    def _request_line(self) -> bytes:
        line = self._pick(
            b"GET /info", b"GET  /info  HTTP/1.1", b"GET /info HTTP/9.9", b"GET /info HTTP/1.1 x",
            b"get /info HTTP/1.1", b"/info", b"GET", b"", b"GET HTTP/1.1", b"GET info HTTP/1.1",
            b"GET /info http/1.1", b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1",
            b"CONNECT a.example:443 HTTP/1.1", b"TRACE /info HTTP/1.1", b"GET /in fo HTTP/1.1",
            b"GET http://[::1/info HTTP/1.1", b"GET ftp://a/info HTTP/1.1", b"GET //a/info HTTP/1.1",
            b"G\x00T /info HTTP/1.1", b"GET \x00 HTTP/1.1", b"GET /info HTTP/1.10", b"GET /info HTTP/01.1",
            b"GET /info HTTP/0.9", b"BREW /pot HTTP/1.1", b"G" * 5000 + b" /info HTTP/1.1",
            b"PRI * HTTP/2.0", b"GET http:// HTTP/1.1", b"GET http:///info HTTP/1.1",
            b"GET /info#part HTTP/1.1", b"GET ?x=1 HTTP/1.1", b"POST http://user:pw@a:99999/send/x HTTP/1.1",
            self._noise() + b" " + self._noise() + b" HTTP/1.1",
        )  # fmt: skip
        return line + b"\r\nHost: a\r\n\r\n"

    def _headers(self) -> bytes:
        header = self._pick(
            b"no colon", b": no name", b"X A: blank in name", b"X-A : blank before colon",
            b"X-A: a\r\n folded: b", b"X-A: a\x00b", b"X-\x00A: b", b"X-A: \xff\xfe", b"X-\xe4: b",
            b"Host: b", b"Host: a b", b"Host: ", b"X-A: a\rb", b"X-A: a\nX-B: b",
            b"Connection: " + b"x, " * 500, b"Content-Type: \xff", b"X-A: \x7f\x1b[31m",
            b"A" * 9000 + b": b", b"X-A: " + b"b" * 20000,
            b"\r\n".join(b"X-%d: %d" % (n, n) for n in range(self._random.choice((150, 1500)))),
            b"X-A: b\r\n" * 3000, b"Authorization: \xff", b"Origin: \xff\x00", b"Expect: something-else",
            b"Expect: 100-continue", b"Cookie: " + b"a=b; " * 2000,
            b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAA",
            b"sender-id: \x01\x02", b"sender-id: " + b"\xc3\xa4" * 50, b"Range: bytes=0-99999999999",
            b"Content-Encoding: gzip", b"Keep-Alive: timeout=-1", b"Accept: */*;q=nan",
            b"Accept: " + b"a/b;q=0." * 900, b"Accept: \xff/*", b"Access-Control-Request-Method: \xff",
            b"Access-Control-Request-Headers: " + b"x," * 3000, self._noise() + b": " + self._noise(),
        )  # fmt: skip
        method, path = self._random.choice(ROUTES)
        return f"{method} {path} HTTP/1.1\r\nHost: a\r\n".encode() + header + b"\r\n\r\n"

    def _length(self) -> bytes:
        length = self._pick(
            b"-1", b"+5", b"0x10", b"1e3", b"5, 5", b"5, 6", b"", b" ", b"five", b"5.0", b"5;", b"\xd9\xa5",
            b"05", b"5 5", b"9" * 30, b"18446744073709551617", b"4294967301", b"3", b"9999", b"-0", b"5\x00",
            b"5\r\nContent-Length: 6",
        )  # fmt: skip
        path = self._random.choice((*JSON_ROUTES, "/stream/Collect")).encode()
        head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %b\r\n\r\n"
        return head % (path, length) + self._pick(b"", b"{}", _BODY)

    def _chunks(self) -> bytes:
        body = self._pick(
            b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n",
            b"2\r\n{}0\r\n\r\n", b"\r\n", b"2\r\n{}\r\n", b"FFFFFFFFFFFFFFFFF\r\n{}",
            b"FFFFFFFFFFFFFFFF\r\n{}", b"7FFFFFFFFFFFFFFF\r\n{}", b"80000000\r\n{}",
            b"2;" + b"x" * 5000 + b"\r\n{}\r\n0\r\n\r\n", b"2;a=\xff\r\n{}\r\n0\r\n\r\n",
            b"2 \r\n{}\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"2\r\n{}x\r\n0\r\n\r\n",
            b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\n" + b"X: y\r\n" * 3000 + b"\r\n", b"1\r\n{\r\n" * 2000,
            b"+2\r\n{}\r\n0\r\n\r\n", b"02\r\n{}\r\n000\r\n\r\n", b"\xb2\r\n{}\r\n0\r\n\r\n", self._noise(),
        )  # fmt: skip
        path = self._random.choice((*JSON_ROUTES, "/stream/Collect"))
        return request_bytes("POST", path, {**_JSON, "Transfer-Encoding": "chunked"}) + body

    def _smuggling(self) -> bytes:
        """A server in front of this one might see one request where this one sees two."""
        head = b"POST /send/tester HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        length = b"Content-Length: %d\r\n" % len(_INNER)
        encoding = self._pick(
            b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: xchunked\r\n",
            b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
            b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: \"chunked\"\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            b"Transfer-Encoding\x00: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
            b"X: y\r\n Transfer-Encoding: chunked\r\n",
        )  # fmt: skip
        body = b"0\r\n\r\n" + _INNER
        both = head + encoding + b"Content-Length: %d\r\n\r\n" % len(body) + body
        doubled = head + length + b"Content-Length: 0\r\n\r\n" + _INNER
        listed = head + b"Content-Length: 0, %d\r\n\r\n" % len(_INNER) + _INNER
        ignored = head + b"Transfer-Encoding: identity, chunked, gzip\r\n\r\n" + body
        return self._pick(both, both, doubled, listed, ignored)

    def _line_ends(self) -> bytes:
        good = self._good()
        return self._pick(
            good.replace(b"\r\n", b"\n"), good.replace(b"\r\n", b"\r"), good.replace(b"\r\n", b"\n\r"),
            b"\r\n" * 500 + good, good.replace(b"\r\n", b"\r\n\n", 1), b"\n" + good, b"\r" + good,
            good.replace(b": ", b":\t\t "), b" " + good,
        )  # fmt: skip

    def _path(self) -> bytes:
        segment = self._pick(
            b"%", b"%z", b"%zz", b"%c3", b"%C3%28", b"%FF%FE", b"\xc3\xa4", b"\xff", b"%u0041", b"..",
            b"%2e%2e", b"..%5c..", b"a\\b", b"a;b=c", b"%00", b"%0d%0aX:%20y", b"a" * 8000, b"%41" * 3000,
            b"{agentId}", b"%EF%BB%BF", b"%ED%A0%80", b"a//b", b"/", b"%F4%90%80%80", b"~%7e", b"<script>",
            b"'\"", b"%20", b"+", b"|", b"^", b"`", b"%c0%ae%c0%ae", "\u202e".encode(),
            self._noise().replace(b" ", b"").replace(b"\n", b"").replace(b"\r", b""),
        )  # fmt: skip
        place = self._pick(
            b"/agents/%b", b"/%b", b"/invoke/%b", b"/invoke/Say/%b", b"/stream/%b", b"/containers/%b", b"/swagger-ui/%b"
        )
        method = self._pick(b"GET", b"POST", b"DELETE")
        return b"%b %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" % (method, place % segment)

    def _query(self) -> bytes:
        value = self._pick(
            b"%", b"%zz", b"%FF", b"\xff", b"9" * 5000, b"-", b"1_0", b"%D9%A3", b"true%00", b"a" * 6000,
            b"%0d%0a", b"\xc3\xa4", b"&" * 3000, b"timeout=" * 500, b"?" * 50, b"#", b"NaN", b"1e9", b"%2B1",
            b"[]", b"{}",
        )  # fmt: skip
        name = self._pick(
            b"timeout", b"forward", b"containerId", b"includeConnected", b"format", b"", b"%FF", b"a" * 2000
        )
        route = self._pick(
            b"POST /invoke/Say", b"POST /send/x", b"GET /agents", b"GET /v3/api-docs/actions", b"GET /stream/Count"
        )
        return b"%b?%b=%b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}" % (
            route,
            name,
            value,
        )

    def _post(self, body: bytes) -> bytes:
        return request_bytes("POST", self._random.choice(JSON_ROUTES), _JSON, body)

    def _broken_json(self) -> bytes:
        good = bytearray(
            self._pick(
                _BODY, b'{"payload": "x", "replyTo": "y"}', b'{"image": {"imageName": "i"}, "arguments": {"a": "b"}}'
            )
        )
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randrange(len(good))
            match self._random.randrange(4):
                case 0:
                    good[place] = self._random.choice(b'{}[]",:0-+.eEtfn\\ \x00\xff')
                case 1:
                    del good[place:]
                    good += b"{"
                case 2:
                    good[place:place] = self._pick(b",", b'"', b"\\", b"NaN", b"null", b"\xef\xbb\xbf", b"//", b"/**/")
                case _:
                    good += good[place:]
        return self._post(bytes(good))

    def _deep_json(self) -> bytes:
        depth = self._random.choice((99, 100, 101, 500, 5000, 50_000))
        opening, closing = self._random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")))
        closing = self._pick(closing * depth, b"", closing * (depth // 2))
        key = self._pick(b"value", b"payload", b"image", b"box")
        return self._post(b'{"%b":' % key + opening * depth + self._pick(b"1", b"") + closing + b"}")

    def _wide_json(self) -> bytes:
        count = self._random.choice((1000, 20_000))
        return self._post(
            self._pick(
                json.dumps({"value": {f"key{number}": number for number in range(count)}}).encode(),
                b'{"value": [' + b"[]," * count + b"0]}",
                b'{"value": ' + b"9" * count + b"}",
                b'{"value": 0.' + b"1" * count + b"}",
                b'{"value": 1' + b"0" * 200 + b"e-" + b"9" * 50 + b"}",
                b'{"' + b"k" * count + b'": 1}',
                b'{"value": "' + b"\\u0000" * count + b'"}',
                b"{" + b'"value": 1,' * count + b'"value": 2}',
            )
        )

    def _encoding(self) -> bytes:
        text = '{"value": "ä€🌱", "payload": "ö"}'
        return self._post(
            self._pick(
                text.encode("utf-16"), text.encode("utf-16-le"), text.encode("utf-32"),
                text.encode("utf-8-sig"), text.replace("€🌱", "").encode("latin-1"), b'{"value": "\xff"}',
                b'{"value": "\xed\xa0\x80"}', b'{"value": "\xc0\x80"}', b'{"value": "\\ud800"}',
                b'{"value": "\\udc00\\ud800"}', b'{"\\ud800": 1}', b'{"value": "\\u12"}', b'{"\xff": 1}',
                b"\x1f\x8b\x08\x00\x00", b"\x00", b'{"value": "\x01"}', b'{"value": "\x7f"}',
                b"\xef\xbb\xbf{}",
            )
        )  # fmt: skip

    def _values(self) -> bytes:
        value = self._pick(
            b"NaN", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"-0", b"-0.0", b"00", b"0x1", b"1.",
            b".1", b"+1", b"1e", b"--1", b"null", b"[]", b"{}", b'""', b"true", b"1e400", b"2147483648",
            b"9" * 4301, b"-" + b"9" * 4301, b"1" + b"0" * 308 + b".0", b"True", b"undefined", b"'a'",
            b'"\\x41"', b'"a', b"[1 2]", b"[,]", b'{"a" 1}', b'{1: 2}', b"[1,]", b"1e308",
        )  # fmt: skip
        return self._post(
            self._pick(
                b'{"value": %b}', b'{"payload": %b}', b'{"payload": 1, "replyTo": %b}', b'{"image": %b}',
                b'{"image": {"imageName": %b}}', b'{"image": {"imageName": "i", "apiPort": %b}}',
                b'{"image": {"imageName": "i", "extraPorts": {"1": %b}}}',
                b'{"image": {"imageName": "i"}, "clientConfig": %b}',
                b'{"image": {"imageName": "i"}, "pull": %b}', b'{"box": %b}',
                b'{"box": {"width": %b, "height": 1}}', b'{"image": {"imageName": "i", "parameters": [%b]}}',
                b'{"image": {"imageName": "i", "extraPorts": %b}}',
                b'{"image": {"imageName": "i"}, "arguments": {"a": %b}}', b"%b",
            )
            % value
        )  # fmt: skip

    def _oversized(self) -> bytes:
        size = self._random.choice((70_000, 300_000, 1_000_000))
        return self._pick(
            self._post(b'{"payload": "' + b"x" * size + b'"}'),
            self._post(b"x" * size),
            request_bytes("POST", "/containers/notify", {}, b"x" * size),
            request_bytes("POST", "/stream/Collect", {}, self._random.randbytes(size)),
            request_bytes("POST", "/nothing", _JSON, b"x" * size),
            request_bytes("GET", "/info", {}, b"x" * size),
            request_bytes("GET", "/agents/" + "x" * (size // 10)),
            request_bytes("POST", "/send/tester", {**_JSON, "Content-Length": str(size * 1000)}) + b"x" * 1000,
        )

    def _truncated(self) -> bytes:
        good = self._good()
        return good[: self._random.randrange(1, len(good))]

    def _content_types(self) -> bytes:
        content_type = self._random.choice(
            ("text/plain", "application/json;charset=utf-16", "application/json; charset=\xff", "json", "",
             ";", "/", "*/*", "application/" + "x" * 500 + "+json",
             "multipart/form-data; boundary=" + "b" * 200, "application/json, text/plain",
             "application/json\t", "Application/Json ; q=1", "application/+json")
        )  # fmt: skip
        method, path = self._random.choice(ROUTES)
        return request_bytes(method, path, {"Content-Type": content_type}, _BODY)

    def _websocket(self) -> bytes:
        key = self._random.choice(("dGhlIHNhbXBsZSBub25jZQ==", "", "x", "dGhlIHNhbXBsZSBub25jZQ==" * 9, "\xff"))
        headers = {
            "Upgrade": self._random.choice(("websocket", "WebSocket", "h2c", "websocket, x")),
            "Connection": self._random.choice(("Upgrade", "keep-alive, Upgrade", "close")),
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": self._random.choice(("13", "8", "x", "")),
            "Sec-WebSocket-Extensions": self._random.choice(
                ("permessage-deflate", 'x; y="', "permessage-deflate; server_max_window_bits=99")
            ),
            "Sec-WebSocket-Protocol": self._random.choice(("a", "a, a", "\x01")),
        }  # fmt: skip
        path = self._random.choice(("/subscribe", "/subscribe", "/info", "/subscribe?x"))
        return request_bytes("GET", path, headers) + self._noise(200)

    def _mutated(self) -> bytes:
        data = bytearray(self._good())
        for _ in range(self._random.randint(1, 6)):
            place = self._random.randrange(len(data))
            match self._random.randrange(5):
                case 0:
                    data[place] = self._random.randrange(256)
                case 1:
                    del data[place : place + self._random.randint(1, 10)]
                case 2:
                    data[place:place] = self._noise(10)
                case 3:
                    data[place] ^= 1 << self._random.randrange(8)
                case _:
                    data[place:place] = data[place : place + self._random.randint(1, 60)]
            if not data:
                data += b"x"
        return bytes(data)

    def _other_protocols(self) -> bytes:
        return self._pick(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self._random.randbytes(500),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test",
            b"EHLO a.example\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x00" * 1000,
            b"\xff" * 20_000,
            self._random.randbytes(2000),
            b"GET /info\r\n",
        )
