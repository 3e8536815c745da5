"""Two platforms of ours that ask who is calling, by http or https, and what each uses of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from edge.cli.authority import CA_CERT
from tests.contract.certificates import certified
from tests.system.joined import Caller, guarded, wait_for

HERE, THERE = ({name: f"tests.system.voices:{name}"} for name in ("here", "there"))
_numbers = count()


@dataclass
class Pair:
    """What two platforms are made with.

    Attributes:
        folder: Where they live; under TLS with the folders `tls-here` and `tls-there`.
        here: Settings of the first.
        there: Settings of the second.
    """

    folder: Path
    scheme: str
    here: dict[str, str] = field(default_factory=dict)
    there: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Caller, Caller, str]]:
        """Run both; yields a token of the second as well."""
        async with (
            guarded(self.folder / "here", HERE, **self.here) as (here, _),
            guarded(self.folder / "there", THERE, **self.there) as (there, token),
        ):
            assert here.url.startswith(f"{self.scheme}://")
            yield here, there, token

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[Caller, Caller]]:
        """Run both, connected in both directions."""
        async with self.running() as (here, there, token):
            answer = await here.connect(there.url, back=True, token=token)
            assert (answer.status, answer.body) == (200, b"true"), answer.body
            await both_are(here, there, "connected")
            yield here, there


def pair_of(folder: Path, scheme: str) -> Pair:
    """Make two platforms, under https each with an authority of its own that the other trusts."""
    made = Pair(folder, scheme)
    if scheme == "https":
        made.here, made.there = (certified(folder / f"tls-{name}", name) for name in ("here", "there"))
        made.here["CA_FILE"] = str(folder / "tls-there" / CA_CERT)
        made.there["CA_FILE"] = str(folder / "tls-here" / CA_CERT)
    return made


async def both_are(here: Caller, there: Caller, state: str, limit_s: float = 20.0) -> None:
    await wait_for(here, there.url, state, limit_s)
    await wait_for(there, here.url, state, limit_s)


async def answers(caller: Caller, agent: str) -> bool:
    return (await caller.invoke("Speak", f"/{agent}", text="x")).json == f"{agent}: x"


async def reaches(caller: Caller, agent: str) -> None:
    """Use an agent of the other platform by every way there is."""
    say = f"message {next(_numbers)}"
    assert (await caller.invoke("Speak", f"/{agent}", text=say)).json == f"{agent}: {say}"
    assert (await caller.ask("POST", f"/send/{agent}", {"payload": f"send {say}"})).status == 200
    assert (await caller.ask("POST", "/broadcast/news", {"payload": f"broadcast {say}"})).status == 200
    assert (await caller.ask("POST", f"/stream/Listen/{agent}", data=f"stream {say}")).status == 200
    told = await caller.ask("GET", f"/stream/Tell/{agent}")
    assert told.body == b"".join(f"{agent} {number}\n".encode() for number in range(3))
    heard = (await caller.invoke("Heard", f"/{agent}")).json
    assert heard[-3:] == [f"{way} {say}" for way in ("send", "broadcast", "stream")]


async def each_reaches_the_other(here: Caller, there: Caller) -> None:
    await reaches(here, "there")
    await reaches(there, "here")
