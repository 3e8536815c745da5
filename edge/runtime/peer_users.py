"""The users by whose names connected platforms call this one (contract, section 7.6)."""

from __future__ import annotations

from typing import Protocol


class PeerUsers(Protocol):
    """Makes and removes them; durable when a method returns. Each may raise `Conflict` and `NotStored`.

    Attributes:
        key_mark: Changes with the secret: tokens that were issued under another mark are valid no more. Empty where
            callers need not log in.
    """

    @property
    def key_mark(self) -> str: ...

    async def make(self, name: str, role_of: str) -> str | None:
        """Make the user of a platform, or replace the one of that name, and return a token of 7 days for it.

        Args:
            name: The platform's base URL.
            role_of: Name of the user whose role and privileges it gets; its own name keeps what it has.
        Returns:
            None where callers need not log in.
        """

    async def remove(self, name: str) -> None:
        """Remove such a user and with it all its tokens; nothing happens if there is none."""
