"""Who calls, and on behalf of what: handed along instead of being searched for later."""

from __future__ import annotations

from msgspec import Struct

from edge.http.caller import Caller
from edge.transport.base import CallOptions


class Call(Struct, frozen=True, kw_only=True):
    """One call of the common API as it reached this platform.

    Attributes:
        caller: The acting user.
        container_id: The only container that may answer; None for any.
        forward: Whether connected platforms may answer.
        timeout_s: Seconds given to an action, as the caller said; 0 or less leaves it to the callee.
        sender_id: Who says to be calling.
        event_id: ID of the CALL event; None where none was made.
        idempotency_key: Marks a repeated delivery.
    """

    caller: Caller
    container_id: str | None = None
    forward: bool = True
    timeout_s: int = -1
    sender_id: str | None = None
    event_id: str | None = None
    idempotency_key: str | None = None

    def options(self, login_token: str | None = None) -> CallOptions:
        """Return what is passed on to a container or platform; it may not pass the call on again (section 5.3)."""
        return CallOptions(
            container_id=self.container_id,
            timeout_s=self.timeout_s,
            login_token=login_token,
            sender_id=self.sender_id,
            relate_to=self.event_id,
            forward=False,
            idempotency_key=self.idempotency_key,
        )
