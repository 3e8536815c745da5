"""For a board that sleeps: it wakes, tells its platform one value, and sleeps again. Nobody ever calls it."""

import asyncio
import json
import time

from opaca_micro.announce import Announcer
from opaca_micro.calling import reason_of
from opaca_micro.config import load
from opaca_micro.container import Container
from opaca_micro.network import Network
from opaca_micro.watchdog import Watchdog

# After that it gives up and sleeps: a radio in vain empties a battery.
_LONGEST_S = 30
_FIRST_RETRY_S = 10


class _Done(Exception):
    """The value has arrived."""


def report(agent, channel, value, config="opaca.json", every_s=3600):
    """Broadcast a value if it is another than the last one that arrived, or if that was long ago.

    With `"push": true` in its settings the board is listed at its platform, and is not called. What was told is kept in
    the memory that outlives a deep sleep, so that the radio stays off where there is nothing new.

    Args:
        agent: The agent that the platform lists.
        channel: Where to broadcast.
        value: Anything that JSON can say.
        config: File of the settings.
        every_s: After so long it is told again, and the board attached again.

    Returns:
        For how many milliseconds to sleep: until it is due again, or shorter if it did not arrive.
    Raises:
        ConfigError: the settings cannot be used.
    """
    memory = _memory()
    told = memory.get("told")
    age_s = time.time() - memory.get("at", 0)
    is_due = not 0 <= age_s < every_s
    if told == [value] and not is_due:
        return max(1, int((every_s - age_s) * 1000))
    if _arrived(agent, channel, value, config, is_due or not told):
        _keep({"told": [value], "at": time.time()})
        return every_s * 1000
    retry_s = min(every_s, memory.get("retry", _FIRST_RETRY_S))
    _keep({"retry": retry_s * 2})
    return retry_s * 1000


def _arrived(agent, channel, value, config, has_to_attach):
    settings = load(config)
    network = Network(settings.wifi)
    announcer = Announcer(settings, Container(settings, [agent], settings.name), network)

    async def tell():
        while not network.is_up():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)
        if has_to_attach:
            await announcer.attach()
        if await announcer.broadcast(channel, value):
            raise _Done

    async def tell_in_time():
        jobs = asyncio.gather(network.keep(), Watchdog(settings.watchdog).keep(lambda: True), tell())
        await asyncio.wait_for(jobs, _LONGEST_S)

    network.begin()
    try:
        asyncio.run(tell_in_time())
    except _Done:
        return True
    except asyncio.TimeoutError:
        print(channel, "was not told: not done within %d s" % _LONGEST_S)
    except Exception as error:  # noqa: BLE001 - whatever it is, a chip that does not sleep empties its battery
        print(channel, "was not told:", reason_of(error))
    return False


def _memory():
    import machine

    try:
        kept = json.loads(machine.RTC().memory())
        return kept if isinstance(kept, dict) else {}
    except (ValueError, AttributeError):  # nothing yet, or a chip without such memory
        return {}


def _keep(memory):
    import machine

    try:
        machine.RTC().memory(json.dumps(memory))
    except (AttributeError, ValueError):  # a chip without such memory, or too little of it
        pass
