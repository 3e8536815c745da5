"""Reading what another party answered: bodies of bounded size, and errors as causes (contract, section 3.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import ClientError, ClientResponse

from edge.errors import BadAnswer, Cause, EmptyBody, TooLarge, Undecodable
from edge.model.codec import decode
from edge.model.requests import ErrorResponse

MAX_ANSWER_BYTES = 16 * 1024 * 1024
# Enough for a traceback in an error; more is no explanation.
MAX_ERROR_BYTES = 64 * 1024
# How long, and up to which size, an answer that nobody needs is read so that its connection can be used again.
_DRAIN_S = 0.5
_DRAIN_BYTES = 64 * 1024


class AnswerTooLong(Exception):
    """An answer is larger than it may be."""


async def read_body(response: ClientResponse, limit_bytes: int) -> bytes:
    """Return the body of an answer, without holding more than the limit.

    Raises:
        AnswerTooLong: it is larger; the connection is then of no further use.
        ClientError: it broke off.
    """
    declared = response.content_length
    if declared is not None and declared > limit_bytes:
        raise AnswerTooLong
    content = response.content
    pieces: list[bytes] = []
    size = 0
    while piece := await content.readany():
        size += len(piece)
        if size > limit_bytes:
            raise AnswerTooLong
        pieces.append(piece)
    return b"".join(pieces)


async def drain(response: ClientResponse) -> None:
    """Read an answer whose body does not matter, as far as that is cheap; an unread rest costs the connection."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            await read_body(response, _DRAIN_BYTES)
    except (TimeoutError, ClientError, AnswerTooLong):
        response.close()


async def read_cause(response: ClientResponse) -> Cause | None:
    """Return what the other party says was wrong; an answer that breaks off counts as far as it came."""
    body = bytearray()
    is_cut = False
    try:
        while piece := await response.content.readany():
            body += piece
            if len(body) > MAX_ERROR_BYTES:
                is_cut = True
                response.close()
                break
    except ClientError:
        is_cut = True
    return cause_of(response.status, bytes(body[:MAX_ERROR_BYTES]), is_cut)


def cause_of(status: int, body: bytes, is_cut: bool = False) -> Cause | None:
    """Return the cause that the body of an error answer stands for.

    Args:
        status: The HTTP status, which counts where the body is none of OPACA's.
        is_cut: The body is only the beginning of what was sent.
    """
    if not body:
        return Cause(status, None)
    if not is_cut:
        try:
            return _as_cause(decode(body, ErrorResponse))
        except EmptyBody:
            return None  # the literal null
        except Undecodable:
            pass
    text = body.decode("utf-8", "replace")
    return Cause(status, text + " …" if is_cut else text)


def _as_cause(answer: ErrorResponse) -> Cause:
    inner = None if answer.cause is None else _as_cause(answer.cause)
    return Cause(answer.status_code, answer.message, inner)


def as_text(body: bytes, what: str) -> str:
    """Return a token or ID from a body that is bare text: verbatim, but for the end of its last line.

    Raises:
        BadAnswer: no UTF-8, or nothing that may stand in a header.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadAnswer(f"{what}: the answer is no UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    # It will stand in a header of later calls, where a line break would begin another header.
    if any(character < " " or character == "\x7f" for character in text):
        raise BadAnswer(f"{what}: the answer holds control characters")
    return text


async def collect(pieces: AsyncIterator[bytes], limit_bytes: int, target: str) -> bytes:
    """Return a whole stream for a target that reads no chunks.

    Raises:
        TooLarge: it is longer than the limit.
    """
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit_bytes:
            raise TooLarge(f"{target} speaks HTTP/1.0: at most {limit_bytes} bytes can be streamed to it")
    return bytes(body)
