"""The error tree of the platform; it knows no HTTP (`edge.http.errors` gives each class a status).

OpacaError
├── BadInput                 the caller's request cannot be understood or does not fit
│   ├── ParameterMismatch    arguments, query values, requirements, configuration that do not fit
│   ├── Undecodable          JSON that is malformed or does not fit the model
│   ├── EmptyBody            no JSON where a model is expected
│   ├── BrokenRequest        the HTTP framing or the path is not valid
│   ├── UnsupportedContent   a body that is not JSON
│   ├── NotAcceptable        the caller accepts nothing that we can produce
│   ├── TooLarge             a body above the limit
│   └── TooSlow              a body that does not arrive in time
├── NotFound                 no such agent, action, stream, container, image, connection
├── Conflict                 the name is taken
├── NotLoggedIn              no token, or one that is not valid
├── NotAllowed               role, owner or origin forbid it
├── ActionFailed             an agent of ours raised, hung or returned what is no JSON
├── CalleeError              the container or platform asked did not deliver
│   ├── RemoteError          it answered with an error (kept as `cause`)
│   ├── Unreachable          it could not be reached, or went away
│   │   ├── StillAway        it is known to be away, and was not tried
│   │   └── Asleep           it only reports and is never called
│   ├── OutcomeUnknown       it did not answer in time: what was asked may have happened
│   ├── NotReady             a container that did not come up
│   └── BadAnswer            it answered with success, but not as the contract says
├── NotStored                this platform cannot keep what it should: its disk is full or broken
├── Overloaded               a limit of this platform is reached; try again later
└── Unsupported              the contract knows it, this party does not offer it
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """What another party said was wrong: the `cause` of an error answer (contract, section 1.3).

    Attributes:
        status: The other party's status, None for an inner exception without one.
        message: Its text, None if it gave none.
        cause: What it named as its own cause.
    """

    status: int | None
    message: str | None
    cause: Cause | None = None


class OpacaError(Exception):
    """Base of every error that a caller of the platform may see.

    Attributes:
        message: What went wrong and what was expected; shown to callers.
        cause: What the party behind it answered, if there was one.
    """

    def __init__(self, message: str, cause: Cause | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause


class BadInput(OpacaError):
    """The request cannot be understood or does not fit."""


class ParameterMismatch(BadInput):
    """Arguments, query values, requirements or configuration that do not fit."""


class Undecodable(BadInput):
    """JSON that is malformed or does not fit the model."""


class EmptyBody(BadInput):
    """A body is missing, empty, or the JSON literal null where a model is expected."""


class BrokenRequest(BadInput):
    """The request's HTTP framing or its path is not valid."""


class UnsupportedContent(BadInput):
    """The body's content type is not JSON."""


class NotAcceptable(BadInput):
    """The Accept header excludes everything the route can produce."""


class TooLarge(BadInput):
    """The body is larger than the limit, which the message names."""


class TooSlow(BadInput):
    """The body did not arrive in time."""


class NotFound(OpacaError):
    """No such agent, action, stream, container, image or connection."""


class Conflict(OpacaError):
    """The name is taken."""


class NotLoggedIn(OpacaError):
    """No token, or one that is not valid."""


class NotAllowed(OpacaError):
    """Role, owner or origin forbid it."""


class ActionFailed(OpacaError):
    """An agent's method raised, hung or returned what is no JSON; the message names agent and reason."""


class CalleeError(OpacaError):
    """The container or platform that was asked did not deliver."""


class RemoteError(CalleeError):
    """The other party answered with an error; `cause` holds it.

    Attributes:
        status: The HTTP status of its answer; None if it was not asked over HTTP.
    """

    def __init__(self, message: str, cause: Cause | None = None, status: int | None = None) -> None:
        super().__init__(message, cause)
        self.status = status


class Unreachable(CalleeError):
    """The other party could not be reached, or went away before it was asked."""


class StillAway(Unreachable):
    """The other party is known to be away, which was logged when it went; nothing was sent."""


class Asleep(Unreachable):
    """The other party only reports and is never called: no failure, unless it alone was meant."""


class OutcomeUnknown(CalleeError):
    """No answer in time, or the answer was lost: what was asked may have happened."""


class NotReady(CalleeError):
    """A container did not come up."""


class BadAnswer(CalleeError):
    """The other party answered with success, but the body is not what the contract says."""


class Overloaded(OpacaError):
    """A limit of this platform is reached; the same request may succeed later."""


class NotStored(OpacaError):
    """This platform cannot keep what it should: its disk is full or broken. Nothing was changed."""


class Unsupported(OpacaError):
    """The contract knows it, this party does not offer it (e.g. container login)."""
