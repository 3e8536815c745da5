"""What the broker keeps of a site whose user was removed, or has another password now.

Mosquitto ends such a connection without publishing its will, so the gateway would show the site as connected for ever,
and let calls to it wait. Nobody but the site may say that it is away: so we are the site, for a moment.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.cli.broker_files import BrokerFiles

if TYPE_CHECKING:
    from bridge.mqtt.client import Broker

_LIMIT_S = 10.0
_LOOK_S = 0.1


def say_away(files: BrokerFiles, site: str, password: str) -> bool:
    """Have the gateway see a site as away until it connects anew; see `_told`."""
    from bridge.envelope import Presence, new_epoch, write

    # As who was never there is not away: a connection's end counts only after its begin.
    epoch = new_epoch()
    return _told(files, site, password, [("st", write(Presence(on=on, ep=epoch))) for on in (1, 0)])


def say_gone(files: BrokerFiles, site: str, password: str) -> bool:
    """Have the gateway forget a site for good, also one that is not there now; see `_told`."""
    from bridge.envelope import Presence, write

    return _told(files, site, password, [("st", write(Presence(on=0, ep=0, gone=1))), ("info", b"")])


def _told(files: BrokerFiles, site: str, password: str, words: Sequence[tuple[str, bytes]]) -> bool:
    """Publish as a site what the broker is to keep; false if it lets nobody in for that, or does not run."""
    if files.facts.get("ca"):
        return False  # it asks for the site's own certificate
    from bridge.mqtt.topics import Topics

    topics = Topics(files.facts.get("root", "opaca"))
    named = [(topics.own(site, "st") if kind == "st" else topics.site(site, "up", kind), text) for kind, text in words]
    return asyncio.run(_published(_broker(files, site, password), named))


async def _published(broker: Broker, words: Sequence[tuple[str, bytes]]) -> bool:
    from bridge.mqtt.driver import Connection
    from bridge.mqtt.failures import LinkError

    try:
        async with asyncio.timeout(_LIMIT_S):
            while True:
                try:
                    async with Connection(broker, lambda incoming: incoming.ack(), None, is_v5=True) as connection:
                        for topic, text in words:
                            await connection.deliver(topic, text, retain=True)
                        return True
                except LinkError:  # it has not read its files yet
                    await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        return False


def _broker(files: BrokerFiles, site: str, password: str) -> Broker:
    from bridge.mqtt.client import Broker

    plan, context = files.plan, None
    if plan.cert is not None:
        # This very certificate and no other, whatever name it is for.
        context = ssl.create_default_context(cafile=plan.cert)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
    return Broker(host=files.local_host, port=plan.port, user=site, password=password, tls=context)
