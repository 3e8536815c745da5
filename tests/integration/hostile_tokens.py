"""Tokens from a seed, by somebody who does not have the secret, or who has it and writes what nobody expects."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.contract.wire import request_bytes
from tests.integration.signed import KEY, signed, signed_text

REFUSED = frozenset((401,))
# Whoever has the secret may say who they are: these need only be understood, or refused.
UNDERSTOOD = frozenset((101, 200, 401, 403))
# What is no HTTP any more, or too much of it.
BROKEN = frozenset((400, 401, 431))

WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
# Where a token opens something; the last ones are open without, but a token that is shown counts there too.
_ROUTES: tuple[tuple[str, str], ...] = (
    ("GET", "/info"), ("GET", "/token"), ("GET", "/agents"), ("GET", "/containers"), ("GET", "/users/guest"),
    ("GET", "/config"), ("GET", "/"), ("GET", "/app.js"), ("GET", "/v3/api-docs"), ("GET", "/v3/api-docs/actions"),
)  # fmt: skip
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~=!"
_NAMES = ("admin", "guest", "user", "contributor")


@dataclass(frozen=True)
class Trial:
    """One request.

    Attributes:
        kind: Which generator made it.
        allowed: The statuses that it may be answered with.
    """

    kind: str
    data: bytes
    allowed: frozenset[int]


def part(content: bytes) -> str:
    """Encode one part of a token."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class TokenForger:
    """Makes requests; the same seed makes the same ones, but for the time in their tokens.

    Args:
        genuine: Tokens that count, which are bent.
        void: Tokens that no longer count, well signed as they are.
    """

    def __init__(self, seed: int, genuine: list[str], void: list[str]) -> None:
        self._random = random.Random(seed)
        self._genuine = genuine
        self._void = void
        kinds: list[Callable[[], tuple[str | bytes, frozenset[int]]]] = [
            self._algorithm, self._unsigned, self._header, self._end, self._subject, self._claims, self._deep,
            self._signature, self._swapped, self._parts, self._base64, self._characters, self._long, self._void_one,
            self._bent,
        ]  # fmt: skip
        self._kinds = {make.__name__.strip("_"): make for make in kinds}

    def trials(self, count: int) -> Iterator[Trial]:
        """Yield this many requests, every kind in turn; every fourth bends the header itself."""
        names = list(self._kinds)
        for number in range(count):
            if number % 4 == 3:
                yield self._form()
                continue
            kind = names[(number - number // 4) % len(names)]
            token, allowed = self._kinds[kind]()
            shown = token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")
            yield Trial(kind, self._request(shown), allowed)

    def _request(self, token: bytes) -> bytes:
        if self._random.random() < 0.15:
            # A browser's WebSocket.
            head = request_bytes("GET", "/subscribe", WEBSOCKET)[:-2]
            clean = token.translate(bytes.maketrans(b",\r\n ", b";;;;"))
            return head + b"Sec-WebSocket-Protocol: opaca-edge, bearer." + clean + b"\r\n\r\n"
        return self._with_header(b"Authorization: Bearer " + token)

    def _with_header(self, line: bytes) -> bytes:
        method, path = self._random.choice(_ROUTES)
        return request_bytes(method, path)[:-2] + line + b"\r\n\r\n"

    def _pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _subject_and_end(self, **more: Any) -> dict[str, Any]:
        return {"sub": self._pick(*_NAMES), "exp": int(time.time()) + 3600, **more}

    def _algorithm(self) -> tuple[str, frozenset[int]]:
        """An algorithm that is not ours, signed with the right key all the same."""
        alg = self._pick(
            "RS256", "ES256", "PS256", "EdDSA", "HS512", "HS1", "hs256", "Hs256", "HS256 ", "HS256\x00", "HMAC", "dir",
            "A128KW", "", None, 256, True, ["HS256"], {"HS256": 1}, "HS256,none", "\ud800", "H" * 2000,
        )  # fmt: skip
        return signed(self._subject_and_end(), alg=alg, signed_as="HS256"), REFUSED

    def _unsigned(self) -> tuple[str, frozenset[int]]:
        alg = self._pick("none", "None", "NONE", "nOnE", "HS256", "")
        head, claims, _ = signed(self._subject_and_end(), alg=alg).split(".")
        return self._pick(f"{head}.{claims}.", f"{head}.{claims}", f"{head}.{claims}.=", f"{head}.{claims}. "), REFUSED

    def _header(self) -> tuple[str, frozenset[int]]:
        """A header that wants the key, or the rules, to come from somewhere else."""
        name = self._pick("kid", "jku", "jwk", "x5u", "x5c", "x5t", "crit", "b64", "typ", "cty", "zip", "enc", "iss")
        value = self._pick(
            "../../../../dev/null", "file:///etc/passwd", "http://127.0.0.1:9/keys", "' OR 1=1 --", {"kty": "oct"},
            {"kty": "oct", "k": ""}, ["exp"], [], None, False, 7, "DEF", "JWT", "x" * 3000, "\x00", "\ud800",
        )  # fmt: skip
        key = self._pick(KEY, b"", bytes(48), b"\x00")
        return signed(self._subject_and_end(), key, **{name: value}), UNDERSTOOD if key == KEY else REFUSED

    def _end(self) -> tuple[str, frozenset[int]]:
        end = self._pick(
            '"9999999999"', "true", "false", "null", "[]", "{}", "[9999999999]", '""', "NaN", "-1", "0", "-0", "-1e400",
            "-Infinity", "1", "1.5", "-9" + "9" * 400, "9" * 5000, "1e-400",
        )  # fmt: skip
        if self._random.random() < 0.25:
            # These are far away, and do end.
            end = self._pick("9" * 30, "9" * 400, "1e30", "1e400", "Infinity", "99999999999.5", "9223372036854775808")
            return signed_text(f'{{"sub": "guest", "exp": {end}}}'), UNDERSTOOD
        return signed_text(f'{{"sub": "{self._pick(*_NAMES)}", "exp": {end}}}'), REFUSED

    def _subject(self) -> tuple[str, frozenset[int]]:
        sub = self._pick(
            7, 0, True, [], ["admin"], {}, {"admin": 1}, "", " admin", "admin ", "ADMIN", "Admin", "adm\u0131n",
            "admin\x00", "\x00admin", "admin\n", "../admin", "admin/", "\uff41dmin", "admin\u200b", "\ud800", "*", "%",
            "' OR 1=1 --", "__class__", "x" * 3000, "\U0001f331", 1.5, -1, 10**400,
        )  # fmt: skip
        return signed(self._subject_and_end(sub=sub)), REFUSED

    def _claims(self) -> tuple[str, frozenset[int]]:
        """What stands there is no object, or no JSON, or names things twice."""
        end = int(time.time()) + 3600
        twice = self._pick(
            f'{{"sub": "admin", "sub": "nobody", "exp": {end}}}', f'{{"sub": "admin", "exp": {end}, "exp": 1}}',
            f'{{"sub": "admin", "exp": {end}, "exp": "x"}}', f'{{"sub": "nobody", "exp": {end}, "Sub": "admin"}}',
        )  # fmt: skip
        text = self._pick(
            twice, twice, "[]", '"admin"', "7", "null", "true", "", " ", "{", "{}x", '{"sub": "admin"}', "NaN",
            '{"sub": admin}', "{'sub': 'admin'}", "\ufeff{}", '{"sub": "admin", "exp": }', "{" * 3000,
            f'{{"sub": "admin", "exp": {end}', '{"sub": "adm\\u00', f'{{"sub": "\\ud800\\udfff", "exp": {end}}}',
        )  # fmt: skip
        # One that names nobody is nobody.
        return signed_text(text), REFUSED | {403, 200} if text == "{}" else REFUSED

    def _deep(self) -> tuple[str, frozenset[int]]:
        depth = self._pick(100, 900, 1100, 4000)
        inner = self._pick("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth)
        text = f'{{"sub": "admin", "exp": {int(time.time()) + 600}, "x": {inner}}}'
        return signed_text(text), UNDERSTOOD | {431}

    def _signature(self) -> tuple[str, frozenset[int]]:
        head, claims, signature = self._pick(*self._genuine).split(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        flipped = bytearray(raw)
        flipped[self._random.randrange(len(raw))] ^= 1 << self._random.randrange(8)
        bent = self._pick(bytes(flipped), raw[:-1], raw + b"\x00", raw[:16], b"", bytes(32), raw[::-1], raw * 2)
        return f"{head}.{claims}.{part(bent)}", REFUSED

    def _swapped(self) -> tuple[str, frozenset[int]]:
        """Parts of tokens that count, put together anew."""
        one, other = self._random.sample(self._genuine, 2)
        heads = [signed({}, alg=self._pick("HS256", "none", "HS512")).split(".")[0], other.split(".")[0]]
        claims = [part(json.dumps(self._subject_and_end(sub="admin", iat=1)).encode()), other.split(".")[1]]
        return f"{self._pick(*heads)}.{self._pick(*claims)}.{one.split('.')[2]}", REFUSED

    def _parts(self) -> tuple[str, frozenset[int]]:
        token = self._pick(*self._genuine)
        head, claims, signature = token.split(".")
        as_json = json.dumps({"payload": claims, "signatures": [{"protected": head, "signature": signature}]})
        return self._pick(
            "", ".", "..", "...", "....", head, f"{head}.", f".{claims}.{signature}", f"{head}..{signature}",
            f"{token}.", f"{token}.{signature}", f".{token}", f"{head}.{claims}.{signature}.{head}.{claims}", as_json,
            f"{claims}.{head}.{signature}", f"{signature}.{claims}.{head}", "." * 3000, f"{token} {token}",
        ), REFUSED  # fmt: skip

    def _base64(self) -> tuple[str, frozenset[int]]:
        head, claims, signature = self._pick(*self._genuine).split(".")
        return self._pick(
            f"{head}!.{claims}.{signature}", f"{head}.{claims}%3D.{signature}", f"{head}.{claims}A.{signature}",
            f"{head}.{claims}+.{signature}", f"{head}.{claims}/.{signature}", f"{head}.{claims[:-1]}.{signature}",
            f"%65{head[1:]}.{claims}.{signature}", f"{head}.=.{signature}", f"{head}.====.{signature}",
            f"{head}.{claims}.{signature}A", f"{head[:1]}.{claims[:1]}.{signature[:1]}",
        ), REFUSED  # fmt: skip

    def _characters(self) -> tuple[bytes, frozenset[int]]:
        token = bytearray(self._pick(*self._genuine).encode())
        place = self._random.randrange(len(token))
        token[place:place] = self._pick(
            b"\x00", b"\x7f", b"\x01", b"\xff", b"\xc3\xa4", b"\xed\xa0\x80", b"\x0b", b"\x1b[31m", b"\t",
            b"\xe2\x80\xae", b"\xf0\x9f\x8c\xb1", b"\r\nX: y", b"\r", b"\n", b"\\", b'"', b";", b",",
        )  # fmt: skip
        # A line break ends the header: what is left of the token is one that nobody signed.
        return bytes(token), BROKEN

    def _long(self) -> tuple[str, frozenset[int]]:
        size = self._pick(4000, 12_000, 16_000, 20_000, 1_000_000 if self._random.random() < 0.2 else 60_000)
        head, claims, signature = self._pick(*self._genuine).split(".")
        noise = part(self._random.randbytes(size * 3 // 4))
        return self._pick(
            f"{head}.{claims}.{noise}", f"{noise}.{claims}.{signature}", f"{head}.{noise}.{signature}", noise,
            "a." * (size // 2), "=" * size,
        ), BROKEN  # fmt: skip

    def _void_one(self) -> tuple[str, frozenset[int]]:
        return self._pick(*self._void), REFUSED

    def _bent(self) -> tuple[bytes, frozenset[int]]:
        """A token that counts, with some of its bytes changed before the last, whose lowest bits say nothing."""
        token = bytearray(self._pick(*self._genuine).encode())
        for _ in range(self._random.randint(1, 5)):
            place = self._random.randrange(len(token) - 1)
            token[place] = self._random.choice([byte for byte in _ALPHABET if byte != token[place]])
        return bytes(token), REFUSED

    def _form(self) -> Trial:
        """Another header than the one that counts."""
        token = self._pick(*self._genuine).encode()
        line = self._pick(
            b"Authorization:", b"Authorization: ", b"Authorization: Bearer", b"Authorization: Bearer ",
            b"Authorization: Bearer  %b", b"Authorization: bearer %b", b"Authorization: BEARER %b",
            b"Authorization: Bearer\t%b", b"Authorization: Bearer%b", b"Authorization: %b", b"Authorization: Bearer=%b",
            b"Authorization: Bearer \"%b\"", b"Authorization: Bearer %b %b", b"Authorization: Bearer %b, Bearer %b",
            b"Authorization: Token %b", b"Authorization: Basic YWRtaW46YWRtaW4tcHc=", b"Authorization: Digest a=\"b\"",
            b"Authorization: Negotiate %b", b"Authorization: JWT %b", b"Authorization: Bearer Bearer %b",
            b"Authorization: Bearer token=%b", b"Authorization: \xff\xfe %b", b"Authorization: Bearer\xa0%b",
            b"Authorization: Bearer\x00%b", b"Authorization : Bearer %b", b" Authorization: Bearer %b",
            b"Authorization: Bearer junk\r\nAuthorization: Bearer %b", b"Authorization: x\r\n Bearer %b",
            b"Proxy-Authorization: Bearer %b", b"X-Authorization: Bearer %b", b"Cookie: Authorization=Bearer %b",
            b"Authorization\x00: Bearer %b", b"Sec-WebSocket-Protocol: bearer.%b", b"X: y\nAuthorization : Bearer %b",
            b"Authorization: Bearer " + b"%b." * 20, b"Authorization:Bearer%%20%b", b"ContainerLoginToken: %b",
        )  # fmt: skip
        data = self._with_header(line.replace(b"%b", token).replace(b"%%", b"%"))
        # Where none of it is the header, whoever asks is nobody, who may see what is open.
        is_open = any(path in data.split(b"\r\n")[0] for path in (b" /app.js ", b" /v3/api-docs "))
        return Trial("form", data, BROKEN | {200} if is_open else BROKEN)
