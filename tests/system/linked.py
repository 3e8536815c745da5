"""Links and stations of the bridge in the test's own process, at a real broker: what they find wrong is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.access import Access
from bridge.envelope import Answer, Request
from bridge.executor import Executor
from bridge.identity import Identity
from bridge.mqtt.broker import access_text, password_line
from bridge.mqtt.client import Broker, Will
from bridge.mqtt.driver import Incoming
from bridge.mqtt.link import Link, Manners
from bridge.mqtt.topics import Topics
from bridge.remote import Remote
from bridge.station import Station
from bridge.tasks import Tasks
from tests.system.brokers import Mosquitto
from tests.system.joined import until

SITE, GATEWAY = "home", "cloud"


@dataclass
class Linked:
    """A link that runs.

    Attributes:
        link: The link.
        heard: What came over it.
    """

    link: Link
    heard: list[Incoming] = field(default_factory=list)

    async def is_up(self, limit_s: float = 10.0) -> float:
        async def holds() -> bool:
            return self.link.is_up

        return await until(holds, f"{self.link.where} is connected ({self.link.figures.problem})", limit_s)

    async def says(self, *words: str, limit_s: float = 10.0) -> str:
        """Wait until the link says why there is no connection, in these words."""

        async def said() -> bool:
            return all(word in self.link.figures.problem for word in words)

        try:
            await until(said, f"{words}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.link.figures.problem!r}") from error
        return self.link.figures.problem


@asynccontextmanager
async def linked(broker: Broker, filters: Sequence[str] = ()) -> AsyncIterator[Linked]:
    """A link to a broker, connected or not."""
    made: list[Linked] = []

    def keep(incoming: Incoming) -> None:
        made[0].heard.append(incoming)
        incoming.ack()

    manners = Manners(
        filters=filters or [f"opaca/v1/{broker.user}/dn/#"],
        will=lambda: Will(topic=f"opaca/v1/{broker.user}/st", payload=b'{"on":0,"ep":1}'),
        on_message=keep,
        on_up=lambda _: None,
        on_down=lambda: None,
        last_words=lambda: None,
    )
    made.append(Linked(Link(broker.user, broker, manners)))
    async with Tasks() as tasks:
        tasks.keep(made[0].link.run, "link")
        yield made[0]


@asynccontextmanager
async def station(broker: Broker, *, info: bytes = b"") -> AsyncIterator[Station]:
    """The end of `broker.user`: a gateway if that is its name, else a site of it; calls are echoed."""

    async def play(remote: Remote, request: Request) -> Answer:
        return Answer(id=request.id, b=request.b)

    def executor_of(party: str) -> Executor:
        return Executor(party, Access("USER", ("*",)), None)  # type: ignore[arg-type] - it plays nothing

    is_gateway = broker.user == GATEWAY
    identity = Identity(
        name=broker.user, is_gateway=is_gateway, serves="" if is_gateway else GATEWAY, machine="m", store_id="s"
    )
    async with Tasks() as tasks:
        made = Station(identity, broker, Topics(), executor_of, play, tasks)
        if info:
            made.describe(info)
        tasks.keep(made.run, "link")
        yield made


def guarded(folder: Path, access: Callable[[str], str] = lambda text: text) -> str:
    """Lines of a Mosquitto that knows `home` and `cloud` by the password "right", with our access list, changed."""
    folder.mkdir(parents=True, exist_ok=True)
    # Mosquitto, started by root, becomes nobody else here: `brokers` says so.
    write(folder, access)
    return (
        f"allow_anonymous false\npassword_file {folder}/passwords\nacl_file {folder}/acl\nuse_username_as_clientid true"
    )


def write(folder: Path, access: Callable[[str], str] = lambda text: text) -> None:
    """Write the files of `guarded` anew; SIGHUP has Mosquitto read them."""
    (folder / "passwords").write_text("".join(password_line(user, "right") + "\n" for user in (SITE, GATEWAY, "other")))
    (folder / "acl").write_text(access(access_text("opaca", {GATEWAY: None})))


def user(mosquitto: Mosquitto, name: str, **more: object) -> Broker:
    """A broker as one of its users sees it."""
    made = Broker(host="127.0.0.1", port=mosquitto.port, user=name, password="right", longest_pause_s=1.0)
    return replace(made, **more)  # type: ignore[arg-type]


async def soon(claim: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
    """Wait until something holds."""

    async def holds() -> bool:
        return bool(claim())

    await until(holds, what, limit_s)
