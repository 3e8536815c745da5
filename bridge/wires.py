"""The topics of one party, as seen from this end."""

from __future__ import annotations

from bridge.mqtt.topics import Direction, Topics


class Wires:
    """What is written and read for one party.

    >>> wires = Wires(Topics(), "greenhouse", "cloud", is_gateway=True)
    >>> wires.request, wires.answer
    ('opaca/v1/greenhouse/dn/rq/cloud', 'opaca/v1/greenhouse/dn/rs')
    >>> wires = Wires(Topics(), "greenhouse", "cloud", is_gateway=False)
    >>> wires.request, wires.answer
    ('opaca/v1/greenhouse/up/rq', 'opaca/v1/greenhouse/up/rs/cloud')
    """

    def __init__(self, topics: Topics, site: str, gateway: str, *, is_gateway: bool) -> None:
        """Args:
        topics: How topics begin.
        site: The site.
        gateway: The gateway that serves it.
        is_gateway: This end is the gateway.
        """
        self.incoming: Direction = "up" if is_gateway else "dn"
        self._outgoing: Direction = "dn" if is_gateway else "up"
        self._topics = topics
        self._site = site
        self.request = topics.site(site, self._outgoing, "rq", gateway if is_gateway else "")
        self.answer = topics.site(site, self._outgoing, "rs", "" if is_gateway else gateway)
        # Where its greetings and answers come in.
        self.heard = topics.site(site, self.incoming, "rs", gateway if is_gateway else "")

    def event(self, lane: str) -> str:
        """Return where batches of a lane are sent."""
        return self._topics.site(self._site, self._outgoing, "ev", lane)

    def mark(self, lane: str) -> str:
        """Return where marks of what was taken are sent."""
        return self._topics.site(self._site, self._outgoing, "ack", lane)

    def stream(self, sid: str) -> str:
        """Return where the chunks of a stream, or of a large body, are sent."""
        return self._topics.site(self._site, self._outgoing, "sm", sid)

    def credit(self, sid: str) -> str:
        """Return where the reader of a stream says how far it is."""
        return self._topics.site(self._site, self._outgoing, "sc", sid)

    def telemetry(self, channel: str) -> str:
        """Return where the bare payloads of a channel go."""
        return self._topics.telemetry(self._site, channel)
