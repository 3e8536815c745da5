"""What travels over a link, whatever carries it: presence, requests, answers, events and marks, as JSON.

Keys are short because they travel often; unknown ones are ignored, so that a later version may add some. Bodies are
JSON values: a text where the OPACA route has one (tokens), absent where it has none.
"""

from __future__ import annotations

import secrets
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from edge.errors import BadInput
from edge.model.codec import MAX_DEPTH, check_depth, encode
from edge.model.json_value import JsonValue

T = TypeVar("T", bound=Struct)

VERSION = 1
# What a request may carry over: nothing that says who is calling, which the far end decides.
CARRIED_HEADERS = ("ContainerLoginToken",)
# A body as deep as a platform takes, with the envelope around it.
_DEEPEST = MAX_DEPTH + 1
# Characters of a path, percent-encoded: two names of the longest that an agent of ours may have (200 characters).
LONGEST_PATH = 5000
LONGEST_ROUTE = LONGEST_PATH + len("DELETE ")
# Characters of what is kept for longer than the message that it came with.
_MOST = {"route": LONGEST_ROUTE, "id": 64, "st": 64, "m": 64, "sw": 200}


class _Message(Struct, omit_defaults=True, kw_only=True):
    """Base of the messages: absent means default, on the wire as well."""


class Presence(_Message):
    """What a site or gateway says of itself, retained; its will is the same with `on` 0.

    Attributes:
        on: 1 while it is connected.
        ep: Epoch: a random number for each connection; compared for equality only.
        kind: `platform`, `container` or `gateway`.
        h: Short hash of its `/info`; changes when that does.
        st: ID of its durable store.
        sw: Its software.
        m: Tells machines with the same card apart.
        gw: A site's gateway; others pass it over.
        v: Version of the traffic that it speaks.
        gone: 1 if it was removed for good: kept by the broker, for a gateway that is not there when it happens.
    """

    on: int
    ep: int
    kind: str = "platform"
    h: str = ""
    st: str = ""
    sw: str = ""
    m: str = ""
    gw: str = ""
    v: int = VERSION
    gone: int = 0


class Request(_Message):
    """A live call.

    Attributes:
        id: Chosen by the caller; a repeated one is answered, not executed again.
        ep: Epoch of the party asked, as the caller knows it: another one refuses the call.
        route: Method and raw path: `POST /invoke/Water/greenhouse`.
        q: Query parameters, verbatim.
        h: Headers that matter to the callee.
        b: Body.
        x: Seconds from `t` in which it may begin; later it is refused.
        t: When it was sent, in ms by the caller's clock.
        sid: Stream that carries the bytes of a stream route.
    """

    id: str
    ep: int
    route: str
    v: int = VERSION
    q: dict[str, str] = {}
    h: dict[str, str] = {}
    b: JsonValue | UnsetType = UNSET
    x: float = 30.0
    t: int = 0
    sid: str = ""


class Answer(_Message):
    """The end of a call.

    Attributes:
        id: That of the request; empty for a greeting, which only tells the time.
        s: HTTP status, as the callee's platform gave it; 102 says that it is still being executed.
        b: Body.
        u: The callee does not know whether it was executed.
        t: When it was sent, in ms by the callee's clock.
    """

    id: str
    s: int = 200
    b: JsonValue | UnsetType = UNSET
    u: int = 0
    t: int = 0


class Event(_Message):
    """One durable message of a lane.

    Attributes:
        n: Sequence number.
        route: `POST /send/<agent>` or `POST /broadcast/<channel>`, percent-encoded.
        q: Query parameters, verbatim.
        b: Body: payload and replyTo.
        h: Headers that matter to the callee.
        x: Seconds that it is still worth playing; absent if it does not expire.
    """

    n: int
    route: str
    q: dict[str, str] = {}
    h: dict[str, str] = {}
    b: msgspec.Raw = msgspec.Raw()
    x: float | None = None


class Lost(_Message):
    """Messages of a lane that were accepted and will not come: every number from `a` to `z`.

    Attributes:
        why: `full`, `expired`, `dropped`, ...
        a: First sequence number.
        z: Last one.
        bytes: How many bytes.
        since: When the first was accepted, in ms.
        until: When the last was.
    """

    why: str
    a: int
    z: int
    bytes: int = 0
    since: int = 0
    until: int = 0


class Batch(_Message):
    """A part of a lane, in order: what is not in it between `p` and `z` was lost, and `lost` says why.

    Attributes:
        st: ID of the sender's store.
        p: Sequence number before its beginning.
        z: Sequence number at its end.
        ev: The events.
        lost: Why others are missing.
        a: What the sender knows to be acknowledged.
        t: When it was made, in Unix ms by the sender's clock.
        u: When it was made, in ms since whenever: says how long it was under way, also when that clock is set.
        k: Tells its last event from every other with that number; comes back with the mark.
    """

    st: str
    p: int
    z: int
    ev: list[Event] = []
    lost: list[Lost] = []
    a: int = 0
    t: int = 0
    u: int = 0
    k: int = 0


class Mark(_Message):
    """Everything up to `n` of a store's lane is on the receiver's disk.

    Attributes:
        st: ID of the sender's store.
        n: The number.
        g: 1 if something before what came is missing: to be sent again from here.
        full: Why nothing is taken now; empty if it is.
        f: What became of the lane so far: played, dead, expired, skipped.
        k: Of the batch that ended at `n`.
    """

    st: str
    n: int
    g: int = 0
    full: str = ""
    f: list[int] = []
    k: int = 0


class Credit(_Message):
    """How far a stream's reader is: it has taken `n` chunks; `end` if it wants no more, `why` then says so."""

    n: int = 0
    end: int = 0
    why: str = ""


class Unreadable(BadInput):
    """A message that is not what its topic promises."""


_decoders: dict[type[Struct], msgspec.json.Decoder[Any]] = {}


def read(payload: bytes, kind: type[T]) -> T:
    """Return a message.

    Raises:
        Unreadable: it is no JSON of this form, or too deep.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        if kind is not Batch:  # bodies of events are not looked into here: one that is too deep shall hold up no others
            check_depth(payload, _DEEPEST)
        message: T = decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, BadInput, RecursionError) as error:
        raise Unreadable(f"not a {kind.__name__.lower()}: {error}") from error
    for name, most in _MOST.items():
        if len(getattr(message, name, "")) > most:
            raise Unreadable(f"a {kind.__name__.lower()} whose {name} has more than {most} characters")
    return message


def write(message: Struct) -> bytes:
    """Return what travels."""
    return encode(message)


def new_id() -> str:
    """Return an ID that nobody else has: of a request, a stream, a large body."""
    return secrets.token_urlsafe(9)


def new_epoch() -> int:
    """Return an epoch: 31 random bits, never 0."""
    return secrets.randbelow(2**31 - 1) + 1
