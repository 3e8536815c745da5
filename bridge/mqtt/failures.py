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
        is_version: The broker may not speak this version of MQTT.
        is_sure: It has said so.
        is_silent: The connection ended without a word.
        is_taken_over: Somebody else connected with the same identity.
        is_refused: The broker refuses one message or subscription; the connection holds.
    """

    def __init__(
        self,
        message: str,
        *,
        needs_hand: bool = False,
        is_version: bool = False,
        is_taken_over: bool = False,
        is_refused: bool = False,
        is_sure: bool = False,
        is_silent: bool = False,
    ) -> None:
        super().__init__(message)
        self.needs_hand = needs_hand
        self.is_version = is_version
        self.is_taken_over = is_taken_over
        self.is_refused = is_refused
        self.is_sure = is_sure
        self.is_silent = is_silent

    def about(self, what: str) -> LinkError:
        """Return the same, saying what it is about."""
        return LinkError(f"{what}: {self}", needs_hand=self.needs_hand, is_refused=self.is_refused)


def refused(code: int, text: str, user: str) -> LinkError:
    """Return the error for the reason code of a CONNACK (MQTT 5, section 3.2.2.2; paho maps those of 3.1.1)."""
    if code == 0x84:
        return LinkError("the broker does not speak this version of MQTT", is_version=True, is_sure=True)
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


def hung_up(where: str, problem: ssl.SSLError | None, *, has_tls: bool) -> LinkError:
    """Return the error for a connection that the broker ended before its greeting.

    Args:
        where: The broker's address.
        problem: What TLS complained of, if it did.
        has_tls: Whether TLS was spoken.
    """
    if problem is not None:
        return tls_failed(problem, where)
    hint = "" if has_tls else ", or expects TLS (mqtts://)"
    # Some that know only 3.1.1 hang up without a word as well.
    return LinkError(f"{where} hung up at once: it may be full (max_connections){hint}", is_version=True)


def not_taken(code: int, text: str) -> LinkError:
    """Return the error for the reason code of a PUBACK or SUBACK."""
    meanings = {
        0x87: "its access list does not allow it; opaca-edge broker add writes one that does",
        0x95: "it is too large for it (message_size_limit, max_packet_size)",
        0x97: "a quota is used up (its memory or its queues are full)",
    }
    return LinkError(f"the broker refuses it: {meanings.get(code, text)}", needs_hand=code != 0x97, is_refused=True)


def ended(code: int, text: str) -> LinkError:
    """Return the error for the reason code with which a connection ended."""
    meanings: dict[int, Callable[[], LinkError]] = {
        0x8E: lambda: LinkError(
            "somebody else connected with the same identity: two devices share one name (one card copied?)",
            is_taken_over=True,
            needs_hand=True,
        ),
        0x95: lambda: LinkError("the broker found a message too large; let it take 256 KiB (max_packet_size)"),
        0x93: lambda: LinkError("the broker found too many messages under way"),
        0x8D: lambda: LinkError("nothing was heard in time, so the broker ended the connection"),
        0x97: lambda: LinkError("the broker says that a quota is used up"),
        0x80: lambda: LinkError(
            "the broker ended the connection for a reason of its own; its log says which (memory?)"
        ),
    }
    if code in meanings:
        return meanings[code]()
    return LinkError(f"the connection ended: {text or 'without a word'}")


def unreachable(error: Exception, host: str, port: int, *, has_tls: bool = False) -> LinkError:
    """Return the error for what happened before MQTT began."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLError):
        return tls_failed(error, where)
    if isinstance(error, socket.gaierror):
        return LinkError(f"the name {host} cannot be resolved: {error.strerror}")
    if isinstance(error, TimeoutError):
        return LinkError(f"{where} does not answer")
    if isinstance(error, OSError) and error.errno is not None:
        hint = "; is the broker running there?" if error.errno == errno.ECONNREFUSED else ""
        if has_tls and error.errno in (errno.ECONNRESET, errno.EPIPE):
            return LinkError(f"{where} hung up; if it does not speak TLS, it is mqtt://")
        return LinkError(f"{where} cannot be reached: {os.strerror(error.errno)}{hint}")
    return LinkError(f"{where} cannot be reached: {error}")


# What the broker says of our certificate (RFC 8446, section 6.2), as OpenSSL names it.
_OURS = {
    "CERTIFICATE_EXPIRED": "has expired; make it anew, or set the broker's clock",
    "UNKNOWN_CA": "is of an authority that the broker does not know (its cafile)",
    "CERTIFICATE_REVOKED": "was revoked",
    "BAD_CERTIFICATE": "is none that the broker can use",
    "CERTIFICATE_UNKNOWN": "is none that the broker can use",
    "CERTIFICATE_REQUIRED": "is asked for; name it with cert_file and key_file",
    "HANDSHAKE_FAILURE": "may be asked for; name it with cert_file and key_file",
}


def tls_failed(error: ssl.SSLError, where: str) -> LinkError:
    """Return the error for what TLS complained of, at either end."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or str(error)
        is_time = "expired" in reason or "not yet valid" in reason
        hint = ""
        if is_time:
            hint = "; if it is valid, this machine's clock is wrong"
        elif "self-signed" in reason or "self signed" in reason or "unable to get local issuer" in reason:
            hint = "; name its authority with ca_file"
        elif "match" in reason:
            hint = "; connect by a name that it has, or make it anew with this one"
        # A clock is set some time after the start, by nobody's hand.
        return LinkError(f"the certificate of {where} is not trusted: {reason}{hint}", needs_hand=not is_time)
    reason = error.reason or str(error)
    for name, meaning in _OURS.items():
        if name in reason:
            return LinkError(f"the broker refuses our certificate: it {meaning}", needs_hand=True)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return LinkError(f"{where} does not speak TLS, it seems: then it is mqtt://", needs_hand=True)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "UNEXPECTED_EOF" in reason:
        # So does what stands before a broker (a container engine, a load balancer) while that is away.
        return LinkError(f"{where} hung up; if it does not speak TLS, it is mqtt://")
    return LinkError(f"TLS with {where} failed: {reason.replace('_', ' ').lower()}", needs_hand=True)
