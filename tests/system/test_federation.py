"""Two platforms of ours that ask who is calling, by http and https: whatever happens, both go on by themselves."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from edge.cli.authority import CA_CERT, SERVER_CERT, SERVER_KEY
from edge.runtime.tokens import Tokens
from tests.contract.certificates import certified, certify
from tests.system.fault_proxy import FaultProxy, Link
from tests.system.joined import Caller, guarded, log_in, restart, until, wait_for

pytestmark = pytest.mark.timeout(60)

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


@pytest.fixture(params=["http", "https"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Two platforms, under https each with an authority of its own that the other trusts."""
    made = Pair(tmp_path, request.param)
    if made.scheme == "https":
        made.here, made.there = (certified(tmp_path / f"tls-{name}", name) for name in ("here", "there"))
        made.here["CA_FILE"] = str(tmp_path / "tls-there" / CA_CERT)
        made.there["CA_FILE"] = str(tmp_path / "tls-here" / CA_CERT)
    return made


async def both_are(here: Caller, there: Caller, state: str, limit_s: float = 10.0) -> None:
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


async def test_each_uses_the_other_by_every_way(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        await each_reaches_the_other(here, there)
        assert set(await here.agents()) == set(await there.agents()) == {"here", "there"}
        assert (await here.ask("POST", "/connections/notify", data=there.url)).body == b"true"
        assert (await here.ask("DELETE", "/connections", {"url": there.url, "connectBack": True})).body == b"true"
        assert (await there.ask("GET", "/connections")).json == []
        assert (await there.invoke("Speak", "/here", text="x")).status == 404


async def test_either_may_restart_or_be_killed(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        for ends in (here, there):
            await restart(ends)
            await both_are(here, there, "connected")
            await each_reaches_the_other(here, there)
            os.kill(ends.process.pid, signal.SIGKILL)
            await restart(ends)
            await both_are(here, there, "connected")
            await each_reaches_the_other(here, there)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("damage", [Link.CUT, Link.SILENT])
async def test_a_link_that_was_broken_for_a_minute_heals(
    pair: Pair,
    damage: Link,
    at_size: Callable[[int, int], int],
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    ports = [unused_tcp_port_factory() for _ in range(2)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    async with FaultProxy.before(urls[0]) as to_here, FaultProxy.before(urls[1]) as to_there:
        here_url, there_url = (proxy.url.replace("http", pair.scheme) for proxy in (to_here, to_there))
        pair.here |= {"PORT": str(ports[0]), "PUBLIC_URL": here_url}
        pair.there |= {"PORT": str(ports[1]), "PUBLIC_URL": there_url}
        async with pair.running() as (here, there, token):
            assert (await here.connect(there_url, back=True, token=token)).body == b"true"
            await wait_for(here, there_url, "connected")
            await wait_for(there, here_url, "connected")
            await each_reaches_the_other(here, there)
            await asyncio.gather(to_here.become(damage), to_there.become(damage))
            broken_s = at_size(2, 60)
            await stays_well(here, "here", broken_s)
            if damage is Link.CUT or broken_s > 45:
                await wait_for(here, there_url, "away")
                assert "is away since 20" in (await here.invoke("Speak", "/there", text="x")).json["message"]
            await asyncio.gather(to_here.become(Link.WELL), to_there.become(Link.WELL))
            healed_s = await wait_for(here, there_url, "connected", 40)
            healed_s = max(healed_s, await wait_for(there, here_url, "connected", 40))
            await each_reaches_the_other(here, there)
    print(f"\n{pair.scheme}, {damage.value} for {broken_s} s: connected again {healed_s:.1f} s after the link was well")


async def stays_well(caller: Caller, agent: str, seconds: float) -> None:
    """Call an agent that is not beyond the broken link until time is up; it must not notice anything."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        began_s = time.monotonic()
        assert await answers(caller, agent)
        assert time.monotonic() - began_s < 1
        await asyncio.sleep(0.1)


async def test_a_token_may_be_rotated(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        wish = {"username": "link", "password": "pw", "role": "ADMIN"}
        assert (await there.ask("POST", "/users", wish)).status == 201
        login = await there.ask("POST", "/login", {"username": "link", "password": "pw"})
        assert (await here.connect(there.url, token="x.y.z")).json["cause"]["statusCode"] == 401
        await each_reaches_the_other(here, there)  # a token that does not work takes nobody's place
        assert (await here.connect(there.url, token=login.body.decode())).body == b"false"
        await each_reaches_the_other(here, there)
        assert (await there.ask("DELETE", "/users/link")).body == b"true"
        assert (await here.invoke("Speak", "/there", text="x")).json["cause"]["statusCode"] == 401
        await wait_for(here, there.url, "refused")
        assert f"connections add {there.url} --logged-in" in (await here.ask("GET", "/edge/connections")).body.decode()
        await reaches(there, "here")
        assert (await here.connect(there.url, token=await log_in(there))).body == b"false"
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


async def test_a_token_that_ends_is_renewed_in_time(pair: Pair) -> None:
    key = bytes(range(32))
    pair.there["SECRET"] = base64.b64encode(key).decode()
    async with pair.running() as (here, there, _):
        old = Tokens(key, lambda: time.time() - 1830).issue("admin", 3600)
        assert (await here.connect(there.url, back=True, token=old)).body == b"true"
        ends = (await here.ask("GET", "/edge/connections")).json[0]["token_until"]

        async def is_another() -> bool:
            return bool((await here.ask("GET", "/edge/connections")).json[0]["token_until"] > ends)

        await until(is_another, "the token is another one")
        await each_reaches_the_other(here, there)


async def change_secret(caller: Caller) -> None:
    """Start a platform again with another SECRET; all tokens that it has issued are void."""
    caller.process.environment["SECRET"] = base64.b64encode(os.urandom(32)).decode()
    await restart(caller)
    await log_in(caller)


@pytest.mark.parametrize("who", ["here", "there"])
async def test_either_may_change_its_secret_once_both_have_users_of_their_own(pair: Pair, who: str) -> None:
    async with pair.joined() as (here, there):
        await have_users_of_their_own(here, there)
        await change_secret(here if who == "here" else there)

        async def reach_each_other() -> bool:
            return await answers(there, "here") and await answers(here, "there")

        await until(reach_each_other, "both have tokens that work", 15)
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


async def have_users_of_their_own(here: Caller, there: Caller) -> None:
    """Wait until the second has a user for the first in place of the person's token that was handed over."""

    async def has_user() -> bool:
        return here.url in {user["username"] for user in (await there.ask("GET", "/users")).json}

    await until(has_user, "there is a user for the other platform")

    async def is_used() -> bool:
        ends = (await here.ask("GET", "/edge/connections")).json[0]["token_until"]
        return datetime.fromisoformat(ends).timestamp() > time.time() + 6 * 24 * 3600

    await until(is_used, "its token of seven days is used")


async def test_users_of_platforms_end_with_the_connection(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        await have_users_of_their_own(here, there)
        await each_reaches_the_other(here, there)
        assert len((await there.ask("GET", "/connections")).json) == 1
        assert (await here.ask("DELETE", "/connections", {"url": there.url, "connectBack": True})).body == b"true"
        for each in (here, there):
            assert (await each.ask("GET", "/connections")).json == []
            assert [
                user["username"] for user in (await each.ask("GET", "/users")).json if "/" in user["username"]
            ] == []


async def test_a_changed_secret_ends_what_people_handed_over_until_they_hand_over_another(pair: Pair) -> None:
    """That is what a secret is changed for: nobody whose token was stolen gets a new one."""
    async with pair.running() as (here, there, token):
        assert (await here.connect(there.url, token=token)).body == b"true"
        await wait_for(here, there.url, "connected")
        await change_secret(there)
        await wait_for(here, there.url, "refused", 20)
        refused = await here.invoke("Speak", "/there", text="x")
        assert (refused.status, refused.json["cause"]["statusCode"]) == (502, 401)
        assert (await here.connect(there.url, token=await log_in(there))).body == b"false"
        await wait_for(here, there.url, "connected")
        await reaches(here, "there")


under_tls = pytest.mark.parametrize("pair", ["https"], indirect=True)


async def show(caller: Caller, folder: Path, from_days: float = -1, to_days: float = 100) -> None:
    """Put another certificate in place, and have a platform read it."""
    before = caller.process.log.count("was read again")
    await asyncio.to_thread(certify, folder, from_days, to_days)
    os.kill(caller.process.pid, signal.SIGHUP)

    async def is_read() -> bool:
        return caller.process.log.count("was read again") > before

    await until(is_read, "the certificate was read again")


@under_tls
async def test_a_certificate_may_be_renewed_while_connected(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        since = (await here.ask("GET", "/edge/connections")).json[0]["since"]
        await show(there, pair.folder / "tls-there")
        await each_reaches_the_other(here, there)
        assert (await here.ask("GET", "/edge/connections")).json[0]["since"] == since
        await restart(here)
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


@under_tls
async def test_a_certificate_that_has_expired_is_named_and_heals_when_it_is_renewed(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        await show(there, pair.folder / "tls-there", -9, -1)
        assert "server.pem has expired" in there.process.log
        await restart(here)
        await wait_for(here, there.url, "away")
        shown = (await here.ask("GET", "/edge/connections")).json[0]
        assert "certificate has expired, or this machine's clock" in shown["reason"]
        await wait_for(there, here.url, "connected")
        assert await answers(there, "here")
        await show(there, pair.folder / "tls-there")
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


@under_tls
async def test_another_authority_is_trusted_as_soon_as_its_file_is_there(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        trusted, other = Path(pair.here["CA_FILE"]), pair.folder / "other"
        before = await asyncio.to_thread(trusted.read_bytes)
        here.process.environment["CA_FILE"] = str(pair.folder / "trusted.pem")
        await asyncio.to_thread((pair.folder / "trusted.pem").write_bytes, before)
        await restart(here)
        await both_are(here, there, "connected")
        await asyncio.to_thread(certified, other)
        for name in (SERVER_CERT, SERVER_KEY):
            await asyncio.to_thread((other / name).replace, pair.folder / "tls-there" / name)
        await restart(there)
        await wait_for(here, there.url, "away")

        async def is_named() -> bool:
            return "name the file of its authority" in (await here.ask("GET", "/edge/connections")).json[0]["reason"]

        await until(is_named, "what is missing is named")
        # As an operator would: both, until all have the new one.
        both = before + (other / CA_CERT).read_bytes()
        await asyncio.to_thread((pair.folder / "trusted.pem").write_bytes, both)
        await wait_for(here, there.url, "connected", 30)
        assert await answers(here, "there")
