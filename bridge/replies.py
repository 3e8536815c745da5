"""Answers from one platform to the other's caller: what was refused over there reads here as it did there."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from bridge.calls import unknown
from bridge.envelope import Answer
from edge.errors import Cause, OpacaError, RemoteError
from edge.http.errors import PassedOn
from edge.http.errors import error_body as error_tree
from edge.http.replies import JSON, Reply
from edge.model.codec import decode_value, encode
from edge.model.json_value import JsonValue

# Of an error in the generic form, which has no message (contract, section 1.3).
_GENERIC = {"timestamp", "status", "error", "path"}


def refused(error: RemoteError) -> tuple[int, JsonValue]:
    """Return status and body of a platform's own error, so that it reads as if the platform had been asked directly."""
    cause = error.cause
    # One that redirects has not answered, and whoever asked shall not go there either.
    status = error.status if error.status is not None and error.status >= 400 else 502
    if cause is None:
        return status, error_tree(status, error.message)
    generic = _generic(cause.message)
    if generic is not None:
        return status, generic
    return status, error_tree(cause.status or status, cause.message, cause.cause)


def reply_of(answer: Answer) -> Reply:
    """Return another party's answer as if it had come over HTTP; `OutcomeUnknown` if it says that it does not know."""
    if answer.u:
        message = answer.b.get("message") if isinstance(answer.b, dict) else None
        raise unknown(str(message or "the outcome is unknown"))
    status = answer.s if 200 <= answer.s <= 599 else 502
    if isinstance(answer.b, UnsetType) or answer.b is UNSET:
        return Reply(b"", None, status)
    return Reply(encode(answer.b), JSON, status)


def check(answer: Answer, party: str, route: str) -> None:
    """Raise what a party answered to the opening of a stream, if that is an error."""
    if answer.s >= 400:
        cause = _cause(answer.b) if isinstance(answer.b, dict) else Cause(answer.s, None)
        raise PassedOn(reply_of(answer), f"{party} answered {answer.s} to {route}", cause)


def failed(request_id: str, error: OpacaError, status: int) -> Answer:
    """Return the answer for an error of a stream's opening; `status` counts where no platform answered."""
    if isinstance(error, RemoteError) and error.cause is not None:
        status, body = refused(error)
        return Answer(id=request_id, s=status, b=body)
    return Answer(id=request_id, s=status, b=error_tree(status, error.message, error.cause))


def _generic(text: str | None) -> JsonValue | None:
    if text is None or not text.startswith("{"):
        return None
    try:
        body = decode_value(text.encode())
    except OpacaError:
        return None
    return body if isinstance(body, dict) and body.keys() == _GENERIC else None


def _cause(body: dict[str, JsonValue]) -> Cause:
    status, message, inner = body.get("statusCode"), body.get("message"), body.get("cause")
    return Cause(
        status if isinstance(status, int) else None,
        message if isinstance(message, str) else None,
        _cause(inner) if isinstance(inner, dict) else None,
    )
