"""Why callers broke off TLS handshakes, for whoever runs the server: each reason of an address once in an hour."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict

log = logging.getLogger(__name__)

_AGAIN_AFTER_S = 3600.0
_MOST_KNOWN = 256

# What callers say of a certificate (RFC 8446, section 6.2), as OpenSSL names it.
_REFUSALS = {
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate: give it ca.pem, as CA_FILE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "by its clock our certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate: not valid yet by its clock, or for other names",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it refuses our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it refuses our certificate",
    "UNSUPPORTED_PROTOCOL": "it speaks TLS 1.1 or older only",
    "VERSION_TOO_LOW": "it speaks TLS 1.1 or older only",
    "NO_SHARED_CIPHER": "it knows no cipher that is known here",
}
# asyncio's clients, which other platforms of this kind are, leave without a word.
_NO_WORD = "it broke off the handshake, mostly because it does not trust our certificate; its own log says why"


class HandshakeFailures:
    """Logs them."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(self, address: str, error: OSError) -> None:
        """Say why a handshake with an address failed, unless that was said not long ago."""
        reason = _reason(error)
        now_s = asyncio.get_running_loop().time()
        before_s = self._told.pop((address, reason), None)
        if before_s is not None and now_s - before_s < _AGAIN_AFTER_S:
            self._told[address, reason] = before_s
            log.debug("no TLS with %s: %s", address, error)
            return
        self._told[address, reason] = now_s
        if len(self._told) > _MOST_KNOWN:
            self._told.popitem(last=False)
        log.warning("no TLS with %s: %s", address, reason)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return _REFUSALS.get(error.reason, str(error.reason).lower().replace("_", " "))
    return _NO_WORD
