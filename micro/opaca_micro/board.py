"""All of a board: its program ends with `run`, and from then on only a reset ends it."""

import asyncio
import gc
import time

from opaca_micro.memory import forget

RESTART_S = 2
# Before a board on which not even safe mode runs tries again: each boot writes to its flash.
HOPELESS_S = 60
_FIRST_CLOCK_S = 2
_DAY_S = 86400
# So much may be taken before what is not used any more is collected.
_COLLECT_BYTES = 2048


def run(*agents, config="opaca.json", image_name="", description="", version="1"):
    """Attach the board's agents to their platform and serve them; does not return.

    Args:
        agents: Each an `Agent`, or a function that returns one or a list of them. A function is called only now, so
            that a sensor that is not there, or a slip in a module, cannot keep the board from being reached.
        config: File of the settings.
        image_name: By default the board's name.
    Raises:
        ConfigError: the settings cannot be used.
    """
    if hasattr(gc, "threshold"):
        # Before anything is loaded: holes in a small heap cannot be closed, only be kept from coming.
        gc.threshold(_COLLECT_BYTES)
    # In this order: reading the settings needs much memory, but only once; so does loading the largest module.
    settings = load(config)
    from opaca_micro.boot import Boot
    from opaca_micro.watchdog import Watchdog

    boot = Boot()
    watchdog = Watchdog(settings.watchdog)
    made = ()
    try:
        gc.collect()
        from opaca_micro.rest import Rest

        if boot.is_safe:
            from opaca_micro.safe_mode import describe

            made, description = describe(boot, reset)
        else:
            made = _made(agents, boot)
        watchdog.feed()
        from opaca_micro.container import Container

        container = Container(settings, made, image_name or settings.name, description, version)
        asyncio.run(_live(settings, Rest(container, settings.port), container, watchdog, boot, config))
    except KeyboardInterrupt:
        boot.stopped()
        raise
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - of memory most likely, or a job's own task
        boot.failing(_shown(error))
        for _ in range(HOPELESS_S if boot.is_safe else 0):
            watchdog.feed()
            time.sleep(1)
    finally:
        _end(made)
    reset()


def load(path):
    """Return the settings in a file; raises as `config.load`."""
    from opaca_micro import config

    try:
        return config.load(path)
    finally:
        forget("config")


def reset(is_soft=False):
    """Start the board anew; does not return."""
    import machine

    if is_soft and hasattr(machine, "soft_reset"):
        machine.soft_reset()
    machine.reset()


def _made(agents, boot):
    """Return the agents; where they cannot be made the board starts anew, and is in safe mode in the end."""
    made = []
    try:
        for one in agents:
            one = one() if callable(one) else one
            made.extend(one if isinstance(one, (list, tuple)) else (one,))
    except Exception as error:  # noqa: BLE001 - it is the author's code, and may fail as it likes
        boot.failing(_shown(error))
        reset(is_soft=True)
    return made


def _end(agents):
    """Switch off what must not stay on: a loop that ends by Ctrl-C runs no `finally` of its tasks."""
    for agent in agents:
        for ending in getattr(agent, "endings", ()):
            try:
                ending()
            except Exception as error:  # noqa: BLE001 - the others shall end, too
                _shown(error)


async def _live(settings, rest, container, watchdog, boot, path):
    from opaca_micro.announce import Announcer
    from opaca_micro.network import Network

    server = _Server(rest)
    network = Network(settings.wifi)
    announcer = Announcer(settings, container, network, lambda: load(path))
    network.on_change = announcer.moved
    network.begin()
    everything = [watchdog.keep(server.is_serving), _turns_good(boot)]
    if settings.ntp:
        everything.append(_keep_clock(settings.ntp, network, container))
    for name, job in (("server", server.serve), ("network", network.keep), ("announcer", announcer.keep)):
        everything.append(_for_ever(name, job))
    for agent in container.agents:
        agent.on_broadcast = announcer.broadcast
        everything += [_for_ever("job of " + agent.agent_id, job) for job in agent.jobs]
    gc.collect()
    await asyncio.gather(*everything)


class _Server:
    """Tells whether the face that callers see is there."""

    def __init__(self, rest):
        self._rest = rest
        self._is_serving = False

    def is_serving(self):
        return self._is_serving

    async def serve(self):
        self._is_serving = True
        try:
            await self._rest.serve()
        finally:
            self._is_serving = False


async def _for_ever(name, job):
    while True:
        try:
            await job()
            print("the", name, "has ended; it is started anew")
        except Exception as error:  # noqa: BLE001 - whatever it is, a board cannot call for help
            print("the", name, "failed; it is started anew")
            _shown(error)
        gc.collect()
        await asyncio.sleep(RESTART_S)


async def _turns_good(boot):
    await asyncio.sleep(boot.good_after_s)
    boot.good()


async def _keep_clock(server, network, container):
    """Set the clock once a day, where that can be done, and the container's `started_s` with it."""
    pause_s = _FIRST_CLOCK_S
    while True:
        await asyncio.sleep(pause_s)
        if network.is_up():
            try:
                from opaca_micro import ntp

                ahead_s = await ntp.set_clock(server, network)
                container.started_s += ahead_s
                pause_s = _DAY_S
            except Exception:  # noqa: BLE001 - nobody needs the time
                pause_s = min(_DAY_S, pause_s * 2)
            forget("ntp")


def _shown(error):
    """Print an error with where it came from, and return it in words."""
    from opaca_micro.calling import reason_of, show

    show(error)
    return reason_of(error)
