"""What went wrong at a broker, in words, and whether somebody has to do something about it."""

from __future__ import annotations

import ssl

import pytest

from bridge.mqtt.failures import unreachable


def of_tls(kind: type[ssl.SSLError], reason: str | None, text: str) -> ssl.SSLError:
    """Make an error as the handshake raises it."""
    error = kind(1, text)
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    "error",
    [
        of_tls(ssl.SSLEOFError, "UNEXPECTED_EOF_WHILE_READING", "EOF occurred in violation of protocol (_ssl.c:992)"),
        # This is how it is told where the end is there before the first byte is sent.
        of_tls(ssl.SSLZeroReturnError, None, "TLS/SSL connection has been closed (EOF) (_ssl.c:992)"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_who_hangs_up_during_the_handshake_may_come_back_by_itself(error: OSError) -> None:
    said = unreachable(error, "broker", 8883, has_tls=True)
    assert "hung up" in str(said)
    assert not said.needs_hand
