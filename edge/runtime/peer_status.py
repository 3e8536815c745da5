"""How connections are doing, for an operator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PeerState(StrEnum):
    """How a connected platform is doing."""

    JOINING = "joining"
    CONNECTED = "connected"
    UNFOLLOWED = "unfollowed"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    AWAY = "away"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """What an operator wants to know of a connection; never a token.

    Attributes:
        url: The platform's base URL.
        state: `connected`; `joining` before the first answer since this platform started; `unfollowed` if it answers
            but tells nothing of its changes; `refused` if it answers with an error; `unreadable` if what it says of
            itself cannot be used; `away` if it does not answer.
        reason: Why, in words; empty where there is nothing to say.
        since: Since when it is in this state, in the contract's form.
        containers: How many containers it had when it last described itself.
        agents: How many agents.
        connects_back: It was asked to connect to this platform as well.
        has_token: Calls to it carry a token.
        token_until: When that token ends, in the contract's form; None if it does not say.
    """

    url: str
    state: PeerState
    reason: str = ""
    since: str
    containers: int = 0
    agents: int = 0
    connects_back: bool = False
    has_token: bool = False
    token_until: str | None = None
