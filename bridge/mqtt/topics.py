"""Topics of the traffic between sites and gateways, version 1: built and read here and nowhere else.

`<root>/v1/<site>/{st,up/...,dn/...}`: a site only writes under its own `up/` and `st`, and only reads its own `dn/`.
Names of agents, actions and channels never stand in a topic, except in the telemetry for plain MQTT consumers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["up", "dn"]

SITE = re.compile(r"[a-z0-9-]{1,64}")
GATEWAYS = "_gw"
# Brokers in the field allow seven slashes (AWS IoT), of which the longest topic below takes five.
_ROOT = re.compile(r"[A-Za-z0-9_-]{1,32}(/[A-Za-z0-9_-]{1,32})?")
_CHANNEL_LIMIT = 200


def is_site(name: str) -> bool:
    """Tell whether a text may be the name of a site.

    >>> is_site("greenhouse-2"), is_site("_gw"), is_site("a/b"), is_site("")
    (True, False, False, False)
    """
    return SITE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Address:
    """What a topic names.

    Attributes:
        party: Name of a site; of a gateway if `is_gateway`.
        is_gateway: It is a gateway's own topic.
        direction: `up` from the site, `dn` to it; None for what a party says of itself.
        kind: `st`, `info`, `rq`, `rs`, `ev`, `ack`, `sm`, `sc`, `tm`.
        name: What follows: a gateway, a lane, a stream's ID, a channel; empty if nothing does.
    """

    party: str
    is_gateway: bool
    direction: Direction | None
    kind: str
    name: str = ""


class Topics:
    """Builds and reads topics under one root.

    >>> topics = Topics("opaca")
    >>> topics.own("greenhouse", "st")
    'opaca/v1/greenhouse/st'
    >>> topics.site("greenhouse", "dn", "rq", "cloud")
    'opaca/v1/greenhouse/dn/rq/cloud'
    >>> topics.gateway("cloud", "info")
    'opaca/v1/_gw/cloud/info'
    >>> topics.read("opaca/v1/greenhouse/up/ev/alarm")
    Address(party='greenhouse', is_gateway=False, direction='up', kind='ev', name='alarm')
    >>> topics.read("opaca/v1/_gw/cloud/st")
    Address(party='cloud', is_gateway=True, direction=None, kind='st', name='')
    >>> topics.read("opaca/v1/Nobody/up/ev/alarm") is None
    True
    """

    def __init__(self, root: str = "opaca") -> None:
        """Args:
        root: One or two levels.

        Raises:
            ValueError: it holds anything but letters, digits, `_`, `-` and at most one slash.
        """
        if not _ROOT.fullmatch(root):
            raise ValueError(f"{root!r}: expected a root such as opaca or home/opaca")
        self.base = f"{root}/v1"
        self._prefix = self.base + "/"

    def own(self, site: str, kind: Literal["st"]) -> str:
        """Return the topic of what a site says of itself."""
        return f"{self.base}/{site}/{kind}"

    def site(self, site: str, direction: Direction, kind: str, name: str = "") -> str:
        """Return a topic of a site's traffic."""
        return f"{self.base}/{site}/{direction}/{kind}/{name}" if name else f"{self.base}/{site}/{direction}/{kind}"

    def gateway(self, name: str, kind: Literal["st", "info"]) -> str:
        """Return the topic of what a gateway says of itself."""
        return f"{self.base}/{GATEWAYS}/{name}/{kind}"

    def telemetry(self, site: str, channel: str) -> str:
        """Return where the bare payloads of a channel go; what means something in a topic is replaced.

        >>> Topics().telemetry("greenhouse", "air/temp #1")
        'opaca/v1/greenhouse/up/tm/air_temp _1'
        """
        plain = re.sub(r"[/+#\x00-\x1f\x7f]", "_", channel)[:_CHANNEL_LIMIT]
        return self.site(site, "up", "tm", plain)

    def read(self, topic: str) -> Address | None:
        """Return what a topic names, None if it is none of ours."""
        if not topic.startswith(self._prefix):
            return None
        party, *rest = topic[len(self._prefix) :].split("/")
        if party == GATEWAYS and len(rest) == 2 and is_site(rest[0]) and rest[1] in ("st", "info"):
            return Address(rest[0], True, None, rest[1])
        if not is_site(party):
            return None
        if rest == ["st"]:
            return Address(party, False, None, "st")
        if len(rest) in (2, 3) and rest[0] in ("up", "dn"):
            return Address(party, False, "up" if rest[0] == "up" else "dn", rest[1], rest[2] if len(rest) == 3 else "")
        return None
