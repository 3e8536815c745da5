"""Who can reach a platform and what they may do there, in one line at its start (design decision 6)."""

from __future__ import annotations

import logging
import time
from urllib.parse import urlsplit

from edge.config import PlatformConfig, is_loopback
from edge.model.clock import day, is_surely_wrong

log = logging.getLogger(__name__)


def say_who_may(config: PlatformConfig, base_url: str) -> None:
    """Log who may do what, loudly where it is more than a careful owner would want, and what a wrong clock means."""
    severity, said = who_may(config, base_url)
    log.log(severity, "%s", said)
    now_s = time.time()
    if config.require_auth and is_surely_wrong(now_s):
        log.warning(
            "the clock says %s, which is wrong: tokens of people that have ended count again until it is right,"
            " those given now end then; those of containers and boards have no end",
            day(now_s),
        )


def who_may(config: PlatformConfig, base_url: str) -> tuple[int, str]:
    """Return a severity and the line."""
    is_local = is_loopback(config.host)
    is_forwarded = is_local and config.public_url is not None and not is_loopback(urlsplit(base_url).hostname or "")
    if config.require_auth:
        whom = "on this machine" if is_local and not is_forwarded else "whom the network lets through"
        said = f"{base_url}: whoever logs in, {whom}, may use this platform, each as their role allows"
        if is_local or config.tls_cert is not None:
            return logging.INFO, said
        return logging.WARNING, f"{said}; PASSWORDS AND TOKENS CROSS THE NETWORK READABLE: set TLS_CERT and TLS_KEY"
    if is_forwarded:
        return logging.WARNING, (
            f"{base_url}: WITHOUT LOGIN, whoever is logged in on this machine may use and manage this platform, and"
            " ANYONE whom a proxy of that address lets through"
        )
    if is_local:
        return logging.INFO, f"{base_url}: whoever is logged in on this machine may use and manage this platform"
    return logging.WARNING, (
        f"{base_url}: WITHOUT LOGIN, ANYONE in this network may use this platform and start programs here"
    )
