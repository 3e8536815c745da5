"""Certificates of two joined platforms: renewed while connected, expired, of another authority."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from edge.cli.authority import CA_CERT, SERVER_CERT, SERVER_KEY
from tests.contract.certificates import certified, certify
from tests.system.federated import Pair, answers, both_are, each_reaches_the_other, pair_of
from tests.system.joined import Caller, restart, until, wait_for

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return pair_of(tmp_path, "https")


async def show(caller: Caller, folder: Path, from_days: float = -1, to_days: float = 100) -> None:
    """Put another certificate in place, and have a platform read it."""
    before = caller.process.log.count("was read again")
    await asyncio.to_thread(certify, folder, from_days, to_days)
    os.kill(caller.process.pid, signal.SIGHUP)

    async def is_read() -> bool:
        return caller.process.log.count("was read again") > before

    await until(is_read, "the certificate was read again")


async def test_a_certificate_may_be_renewed_while_connected(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        since = (await here.ask("GET", "/edge/connections")).json[0]["since"]
        await show(there, pair.folder / "tls-there")
        await each_reaches_the_other(here, there)
        assert (await here.ask("GET", "/edge/connections")).json[0]["since"] == since
        await restart(here)
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


async def test_a_certificate_that_has_expired_is_named_and_heals_when_it_is_renewed(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        await show(there, pair.folder / "tls-there", -9, -1)

        async def is_told() -> bool:
            return "server.pem has expired" in there.process.log

        await until(is_told, "what is wrong is told")
        await restart(here)
        await wait_for(here, there.url, "away")
        shown = (await here.ask("GET", "/edge/connections")).json[0]
        assert "certificate has expired, or this machine's clock" in shown["reason"]
        await wait_for(there, here.url, "connected")
        assert await answers(there, "here")
        await show(there, pair.folder / "tls-there")
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


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
