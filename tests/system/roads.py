"""Two platforms joined by a broker, kept for a whole module: each test calls them with a session of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession

from tests.contract.running import Process
from tests.system.brokers import Mosquitto, broker
from tests.system.joined import Caller, log_in, until

_JOINED_S = 20.0
_BUNDLED = '[[bundled]]\nname = "{name}"\nfactory = "tests.system.road_agents:{factory}"\n'
_DEVICE = (
    '[bridge]\nlisten = "127.0.0.1:0"\n[bridge.device]\nsite = "greenhouse"\ngateway = "cloud"\nbroker = "{url}"\n'
)
_GATEWAY = '[bridge]\nlisten = "127.0.0.1:0"\n[bridge.gateway]\nname = "cloud"\nbroker = "{url}"\n'
EVERYTHING = '[bridge.gateway.sites."*"]\nrole = "USER"\nallow = ["*"]'


@dataclass
class Roads:
    """What runs.

    Attributes:
        folder: Holds a folder each.
        broker: Joins them.
        home: The platform at home.
        cloud: The platform that plays the cloud.
        has_users: Whether they ask who is calling.
    """

    folder: Path
    broker: Mosquitto
    home: Process
    cloud: Process
    has_users: bool = False

    def bridge_url(self, side: str, party: str) -> str:
        """The base URL of a party at one side's bridge."""
        return (self.folder / side / "state" / "bridge-address").read_text().strip() + "/" + party

    def bridge_token(self, side: str) -> str:
        return (self.folder / side / "state" / "bridge-token").read_text().strip()

    @asynccontextmanager
    async def callers(self) -> AsyncIterator[tuple[Caller, Caller]]:
        """Home and cloud, as their administrators see them; joined."""
        async with ClientSession() as one, ClientSession() as other:
            home, cloud = Caller(one, self.home), Caller(other, self.cloud)
            if self.has_users:
                await log_in(home)
                await log_in(cloud)

            async def are_joined() -> bool:
                return "in-cloud" in await home.agents() and "at-home" in await cloud.agents()

            try:
                await until(are_joined, "the platforms are joined", _JOINED_S)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.home.log}\n{self.cloud.log}") from error
            yield home, cloud


@contextmanager
def roads(
    folder: Path, *, has_users: bool = False, device: str = "", gateway: str = EVERYTHING, lines: str = ""
) -> Iterator[Roads]:
    """Run a broker and both platforms.

    Args:
        has_users: Whether both ask who is calling.
        device: Lines of `[bridge.device]`.
        gateway: Lines of `[bridge.gateway]`.
        lines: Of the broker's configuration, instead of those that let everybody in.
    """
    with ExitStack() as stack:
        mosquitto = stack.enter_context(broker(folder / "broker", lines or "allow_anonymous true"))
        sides = {
            "home": _DEVICE.format(url=mosquitto.url) + device,
            "cloud": _GATEWAY.format(url=mosquitto.url) + gateway,
        }
        processes: dict[str, Process] = {}
        for side, bridge in sides.items():
            (folder / side).mkdir(parents=True)
            bundled = _BUNDLED.format(name=side, factory=side) + _BUNDLED.format(
                name=f"{side}-spare", factory=f"{side}_spare"
            )
            (folder / side / "edge.toml").write_text(f"{bundled}{bridge}\n")
            settings = {"PORT": "0", "STATE_DIR": str(folder / side / "state")}
            if has_users:
                settings |= {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": "secret"}
            processes[side] = Process(["run", "--config", str(folder / side / "edge.toml")], folder / side, settings)
            stack.callback(processes[side].stop)
            processes[side].start()
        for process in processes.values():
            process._wait_for_address()
        yield Roads(folder, mosquitto, processes["home"], processes["cloud"], has_users)


def wait_for_log(process: Process, text: str, limit_s: float = 20.0) -> None:
    """Wait until a program has said something."""
    give_up_at = time.monotonic() + limit_s
    while text not in process.log:
        assert process.is_running(), process.log
        assert time.monotonic() < give_up_at, f"it never said {text!r}:\n{process.log}"
        time.sleep(0.02)
