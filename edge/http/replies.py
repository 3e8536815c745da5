"""What a handler returns, and how it is written: the result kinds of the contract (section 1.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from msgspec import Struct

from edge.errors import NotAcceptable
from edge.model.codec import encode

JSON = "application/json"
TEXT = "text/plain;charset=UTF-8"
# A browser that asks for HTML is told HTML (contract, section 1.1); what others wrote in it must not run there.
_AS_TEXT_ONLY = (("Content-Security-Policy", "default-src 'none'; sandbox"),)
_JSON_RANGES = frozenset((JSON, "application/*", "*/*", "*", "application/*+json"))


class Kind(Enum):
    """How a route's result is encoded, by the contract's letters."""

    TEXT = "S"
    JSON = "J"  # also B (boolean), V (any value) and 0 (no result object)
    NOTHING = "N"
    OCTETS = "O"
    DOCUMENT = "document"  # HTML, style sheets and other files: their own content type


class Reply(Struct, frozen=True):
    """An answer whose body is complete.

    Attributes:
        body: The bytes to send.
        content_type: None where the contract wants no such header.
        status: The HTTP status.
        headers: Further headers.
    """

    body: bytes = b""
    content_type: str | None = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamReply:
    """An answer that is passed on piece by piece; entering the source may still fail with a status of its own."""

    source: AbstractAsyncContextManager[AsyncIterator[bytes]]
    content_type: str = "application/octet-stream"


NOTHING = Reply()
TRUE = Reply(b"true", JSON)
FALSE = Reply(b"false", JSON)


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return kinds J and V."""
    return Reply(encode(value), JSON, status)


def boolean_reply(value: bool) -> Reply:
    """Return kind B."""
    return TRUE if value else FALSE


def text_reply(text: str, accept: str | None, status: int = 200) -> Reply:
    """Return kind S: raw text, never quoted; its content type follows the Accept header."""
    content_type = _text_content_type(accept)
    headers = () if content_type in (TEXT, JSON) else _AS_TEXT_ONLY
    return Reply(text.encode("utf-8", "replace"), content_type, status, headers)


def _text_content_type(accept: str | None) -> str:
    """Return plain text unless the caller names a concrete type first, which is echoed."""
    if accept is None or accept == "*/*":
        return TEXT
    for media_type in ranked(accept):
        if "*" not in media_type:
            # JSON has no charset parameter (RFC 8259, section 11).
            return media_type if media_type == JSON else f"{media_type};charset=UTF-8"
    return TEXT


def demand_json(accept: str | None) -> None:
    """Refuse what accepts no JSON.

    Raises:
        NotAcceptable: the Accept header excludes `application/json`.
    """
    if accept is None or accept == "*/*" or (JSON in accept and "q=0" not in accept):
        return
    if _JSON_RANGES.isdisjoint(ranked(accept)):
        raise NotAcceptable(f"Accept: {accept[:200]}: expected application/json to be among it")


def prefers_html(accept: str | None) -> bool:
    """Tell whether a browser asks for a page."""
    return accept is not None and ranked(accept)[:1] == ["text/html"]


def ranked(accept: str) -> list[str]:
    """Return the media types of an Accept header, best first, without those of quality 0."""
    weighed: list[tuple[float, str]] = []
    for item in accept.split(","):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _number(parameter[2:])
        if media_type and quality > 0 and _is_media_type(media_type):
            weighed.append((quality, media_type.lower()))
    weighed.sort(key=lambda entry: -entry[0])
    return [media_type for _, media_type in weighed]


def _number(text: str) -> float:
    try:
        return min(float(text), 1.0)
    except ValueError:
        return 1.0


_TOKEN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-*/")


def _is_media_type(text: str) -> bool:
    # What is echoed into a header must not be able to write another one.
    return _TOKEN_CHARACTERS.issuperset(text)
