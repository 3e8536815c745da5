"""The one place where a domain error becomes an HTTP status and a body (contract, section 1.3)."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any

from edge import errors
from edge.errors import Cause, OpacaError
from edge.http.replies import JSON, Reply
from edge.model.codec import encode

STATUS_BY_ERROR: dict[type[OpacaError], HTTPStatus] = {
    errors.BadInput: HTTPStatus.BAD_REQUEST,
    errors.ParameterMismatch: HTTPStatus.BAD_REQUEST,
    errors.Undecodable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.EmptyBody: HTTPStatus.BAD_REQUEST,
    errors.BrokenRequest: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedContent: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.NotLoggedIn: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.ActionFailed: HTTPStatus.INTERNAL_SERVER_ERROR,  # an agent container's answer; a platform nests it in a 502
    errors.CalleeError: HTTPStatus.BAD_GATEWAY,
    errors.BadAnswer: HTTPStatus.UNPROCESSABLE_ENTITY,  # as the reference does (contract, Q9)
    errors.NotStored: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unsupported: HTTPStatus.NOT_IMPLEMENTED,
}

# Answered in the generic form, without a message: what the reference's framework refuses before its own code runs.
_GENERIC = (errors.EmptyBody, errors.BrokenRequest, errors.UnsupportedContent, errors.NotAllowed, errors.TooSlow)


class PassedOn(errors.RemoteError):
    """What another platform answered for us, to be passed on as it is.

    Attributes:
        reply: The answer.
    """

    def __init__(self, reply: Reply, message: str, cause: Cause | None = None) -> None:
        super().__init__(message, cause, reply.status)
        self.reply = reply


def status_of(error: OpacaError) -> HTTPStatus:
    """Return the status of an error, that of its nearest ancestor in the table."""
    return next(STATUS_BY_ERROR[cls] for cls in type(error).__mro__ if cls in STATUS_BY_ERROR)


def error_reply(error: OpacaError, path: str) -> Reply:
    """Return the answer for a domain error; `path` is the raw path, shown in the generic form only."""
    if isinstance(error, PassedOn):
        return error.reply
    status = status_of(error)
    if isinstance(error, errors.NotLoggedIn):
        return Reply(error.message.encode(), None, status, (("WWW-Authenticate", "Bearer"),))
    if isinstance(error, errors.NotAcceptable):
        return Reply(b"", None, status)
    if isinstance(error, errors.NotAllowed) and error.message:
        return generic_reply(status, path, error.message)
    if isinstance(error, _GENERIC):
        return generic_reply(status, path)
    return Reply(encode(error_body(status, error.message, error.cause)), JSON, status)


def error_body(status: int | None, message: str | None, cause: Cause | None = None) -> dict[str, Any]:
    """Return an ErrorResponse; `cause` is left out where there is none, at every depth (contract, Decision 1)."""
    body: dict[str, Any] = {"statusCode": status, "message": message}
    if cause is not None:
        body["cause"] = error_body(cause.status, cause.message, cause.cause)
    return body


def generic_reply(status: int, path: str, message: str | None = None) -> Reply:
    """Return the generic form: a time stamp in ms, status, its phrase (or `message`) and the path."""
    body = {
        "timestamp": time.time_ns() // 1_000_000,
        "status": int(status),
        "error": _shown(message or HTTPStatus(status).phrase),
        "path": _shown(path),
    }
    return Reply(encode(body), JSON, int(status))


def _shown(text: str) -> str:
    """Return what came in a head of a request: bytes that are no UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
