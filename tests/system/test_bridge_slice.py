"""Two platforms joined by a bridge over a real Mosquitto, with nothing but outgoing connections from home."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.system.brokers import Mosquitto
from tests.system.sites import pair, until

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("auth", [False, True], ids=["open", "with users"])
async def test_what_home_broadcasts_is_heard_in_the_cloud_which_invokes_at_home(
    tmp_path: Path, mosquitto: Mosquitto, auth: bool
) -> None:
    async with pair(tmp_path, mosquitto.url, auth=auth) as both:
        assert (await both.home.invoke("Report", value=21.5)).status == 200

        async def heard() -> bool:
            return (await both.cloud.invoke("Collected")).json == [{"value": 21.5}]

        await until(heard, "the cloud heard it")
        answer = await both.cloud.invoke("Water", "/greenhouse", seconds=3)
        assert (answer.status, answer.json) == (200, "watered for 3 s")
        assert (await both.home.invoke("AskCloud", city="Berlin")).json == "rain in Berlin"


async def test_errors_streams_and_messages_pass_both_ways(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with pair(tmp_path, mosquitto.url) as both:
        failed = await both.cloud.invoke("Fail")
        assert failed.status == 502
        assert "the pump is stuck" in failed.body.decode()
        assert (await both.cloud.ask("GET", "/stream/Values")).body == b"0\n1\n2\n3\n4\n"
        much = await both.cloud.ask("GET", "/stream/Much/greenhouse")
        assert len(much.body) == 3_000_000
        assert (await both.cloud.ask("POST", "/stream/Feed", data=b"x" * 100_000)).status == 200
        assert (await both.home.invoke("WhatWasFed")).json == 100_000
        assert (await both.cloud.ask("POST", "/send/greenhouse", {"payload": {"hello": 1}})).status == 200
        large = "ä" * 80_000
        assert (await both.cloud.invoke("Echo", value=large)).json == large

        async def came() -> bool:
            return (await both.home.invoke("WhatCame")).json == [{"hello": 1}]

        await until(came, "the message came home")


async def test_a_site_that_is_away_is_said_so_at_once(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with pair(tmp_path, mosquitto.url) as both:
        await asyncio.to_thread(both.home.process.stop)

        async def is_away() -> bool:
            answer = await both.cloud.invoke("Water", "/greenhouse", seconds=3)
            return answer.status == 502 and "is away since" in answer.body.decode()

        await until(is_away, "said to be away")
