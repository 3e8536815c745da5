"""What a broker's refusals mean, in words that tell what to do."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable


class LinkError(Exception):
    """The link cannot be made, or broke.

    Attributes:
        needs_hand: Trying again soon will not help: somebody must change a setting.
        is_version: The broker does not speak this version of MQTT.
        is_taken_over: Somebody else connected with the same identity.
    """

    def __init__(
        self, message: str, *, needs_hand: bool = False, is_version: bool = False, is_taken_over: bool = False
    ) -> None:
        super().__init__(message)
        self.needs_hand = needs_hand
        self.is_version = is_version
        self.is_taken_over = is_taken_over


def refused(code: int, text: str, user: str) -> LinkError:
    """Return the error for the reason code of a CONNACK (MQTT 5, section 3.2.2.2; paho maps those of 3.1.1)."""
    if code == 0x84:
        return LinkError("the broker does not speak this version of MQTT", is_version=True)
    if code in (0x86, 0x87):
        return LinkError(
            f"the broker refuses user {user!r}: {text}; check user and password, or make them anew with"
            " opaca-edge broker add",
            needs_hand=True,
        )
    if code == 0x85:
        return LinkError(f"the broker refuses the client identifier {user!r}", needs_hand=True)
    if code == 0x8A:
        return LinkError(f"the broker has banned user {user!r}", needs_hand=True)
    if code in (0x88, 0x89, 0x97):
        return LinkError(f"the broker is not available now: {text}")
    return LinkError(f"the broker refuses the connection: {text} ({code:#x})")


def ended(code: int, text: str) -> LinkError:
    """Return the error for the reason code with which a connection ended."""
    meanings: dict[int, Callable[[], LinkError]] = {
        0x8E: lambda: LinkError(
            "somebody else connected with the same identity: two devices share one name (one card copied?)",
            is_taken_over=True,
        ),
        0x95: lambda: LinkError("the broker found a message too large; lower [bridge] max_message"),
        0x93: lambda: LinkError("the broker found too many messages under way"),
        0x8D: lambda: LinkError("nothing was heard in time, so the broker ended the connection"),
        0x97: lambda: LinkError("the broker says that a quota is used up"),
    }
    if code in meanings:
        return meanings[code]()
    return LinkError(f"the connection ended: {text or 'without a word'}")


def unreachable(error: Exception, host: str, port: int) -> LinkError:
    """Return the error for what happened before MQTT began."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or str(error)
        hint = ""
        if "expired" in reason or "not yet valid" in reason:
            hint = "; if it is valid, this machine's clock is wrong"
        elif "self-signed" in reason or "unable to get local issuer" in reason:
            hint = "; name its authority with ca_file"
        return LinkError(f"the certificate of {where} is not trusted: {reason}{hint}", needs_hand=True)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return LinkError(f"TLS with {where} failed: {reason.replace('_', ' ').lower()}", needs_hand=True)
    if isinstance(error, socket.gaierror):
        return LinkError(f"the name {host} cannot be resolved: {error.strerror}")
    if isinstance(error, TimeoutError):
        return LinkError(f"{where} does not answer")
    if isinstance(error, OSError) and error.errno is not None:
        hint = "; is the broker running there?" if error.errno == errno.ECONNREFUSED else ""
        return LinkError(f"{where} cannot be reached: {os.strerror(error.errno)}{hint}")
    return LinkError(f"{where} cannot be reached: {error}")
