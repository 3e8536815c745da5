"""Containers that run already: how they are attached, replaced, described, removed and stored."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from edge.errors import Cause, NotFound, NotReady, ParameterMismatch, Undecodable, Unsupported
from edge.model.descriptions import Connectivity, PortDescription
from edge.model.requests import PostAgentContainer
from tests.unit.launcher.stand_ins import (
    NEVER,
    board,
    call,
    lab,
    lines,
    order,
    refusal,
    until,
)
from tests.unit.scripted import scripted


async def test_attached_container_has_the_platforms_id_owner_and_address() -> None:
    async with board() as lamp, lab() as made:
        lamp.info["image"]["extraPorts"] = {"8100": {"protocol": "TCP", "description": "page"}}
        launched = await made.attach(lamp.url)
        await call(launched)
    description = launched.description
    assert (description.container_id, description.owner) == ("c-1", "ann")
    assert description.connectivity == Connectivity(
        "http://127.0.0.1", lamp.port, {8100: PortDescription("TCP", "page")}
    )
    assert description.image.image_name == "greenhouse"
    assert description.agents[0].agent_id == "lamp"
    assert lamp.asked == ["GET /info", "POST /invoke/Blink/lamp"]


async def test_token_of_the_configuration_goes_with_calls() -> None:
    async with board() as lamp, lab() as made:
        await made.attach(lamp.url, token="secret")
        await made.attach(lamp.url, "c-2", key="other")
    assert lamp.tokens == ["Bearer secret", None]


async def test_unknown_properties_are_dropped_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with board() as lamp, lab() as made:
        lamp.info["mood"] = "good"
        lamp.info["agents"][0]["actions"][0]["optional"] = True
        launched = await made.attach(lamp.url)
        assert launched.description.agents[0].actions[0].name == "Blink"
        lamp.info["agents"] = []
        described = await made.launcher.describe("c-1")
        assert described is not None and described.description.agents == []
        lamp.info["weather"] = "fine"
        await made.launcher.describe("c-1")
        lamp.info["weather"] = "rain"
        await made.launcher.describe("c-1")
    assert len(lines(caplog, "dropped: mood, optional")) == 1
    assert len(lines(caplog, "dropped")) == 2


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"type": "ATTACHED"}, "url"),
        ({"type": "attached", "url": "http://pi"}, "attached"),
        ({"type": "ATTACHED", "url": None}, "url"),
        ({"type": "ATTACHED", "url": "http://pi", "speed": 1}, "speed"),
        ({"type": "ATTACHED", "url": ["http://pi"]}, "url"),
        ({"type": "ATTACHED", "url": "http://pi", "push": "maybe"}, "push"),
        (None, "object"),
    ],
)
async def test_configuration_of_another_form_is_undecodable(config: dict[str, Any] | None, reason: str) -> None:
    wanted = order("http://pi")
    wish = PostAgentContainer(image=wanted.wish.image, client_config=config)
    async with lab() as made:
        with pytest.raises(Undecodable, match=reason):
            await made.launcher.start(type(wanted)(container_id="c", wish=wish, timeout_s=1))


@pytest.mark.parametrize(
    "url",
    [
        "pi",
        "//pi",
        "/info",
        "ftp://pi",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://ann:pw@pi",
        "http://pi/?a=b",
        "http://pi/#x",
        "http://pi:99999",
        "http://p i",
        "http://pi\n",
        "http://[::1",
        "",
    ],
)
@pytest.mark.parametrize("push", [False, True])
async def test_url_that_cannot_be_used_is_the_callers_mistake(url: str, push: bool) -> None:
    async with lab() as made:
        with pytest.raises(ParameterMismatch):
            await made.attach(url, push=push)
        assert await made.ids() == []


@pytest.mark.parametrize("config", [{"token": "a\r\nb"}, {"key": ""}, {"key": "k" * 201}])
async def test_token_or_key_that_cannot_be_used_is_the_callers_mistake(config: dict[str, Any]) -> None:
    async with board() as lamp, lab() as made:
        with pytest.raises(ParameterMismatch):
            await made.attach(lamp.url, **config)
    assert lamp.asked == []


@pytest.mark.parametrize(
    ("url", "public_url", "tcp_port"),
    [
        ("http://pi.local/", "http://pi.local", 80),
        ("https://pi.local", "https://pi.local", 443),
        ("http://[fe80::1]:81/boards/7/", "http://[fe80::1]", 81),
    ],
)
async def test_connectivity_is_that_of_the_url(url: str, public_url: str, tcp_port: int) -> None:
    async with lab() as made:
        launched = await made.attach(url, push=True)
    assert launched.description.connectivity == Connectivity(public_url, tcp_port)
    assert launched.transport.name == url.rstrip("/")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"<html>",
        b"[]",
        b"{}",
        b'{"containerId":"x","runningSince":"2026-04-21T13:13:39.120Z"}',
        b'{"image":{"imageName":"x"},"runningSince":"2026-04-21T13:13:39.120Z"}',
        b'{"containerId":null,"image":{"imageName":"x"},"runningSince":"2026-04-21T13:13:39.120Z"}',
        b'{"containerId":"x","image":{"imageName":"x"},"runningSince":"yesterday"}',
        b'{"containerId":"x","image":{"imageName":"x"},"runningSince":"2026-04-21T13:13:39.120Z","agents":'
        + b"[" * 500,
        b"\xff\xfe",
    ],
)
async def test_rubbish_is_not_attached(answer: bytes) -> None:
    async with board() as lamp, lab() as made:
        lamp.info = answer
        with pytest.raises(NotReady, match=lamp.url):
            await made.attach(lamp.url)
        assert await made.ids() == []


async def test_error_answer_is_named_with_its_cause() -> None:
    async with board() as lamp, lab() as made:
        lamp.status, lamp.info = 403, b'{"statusCode":403,"message":"wrong token"}'
        with pytest.raises(NotReady, match="answered 403") as caught:
            await made.attach(lamp.url)
    assert caught.value.cause == Cause(403, "wrong token")


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_redirects_are_not_followed(status: int) -> None:
    async with board() as lamp, lab() as made:
        lamp.status = status
        with pytest.raises(NotReady, match="redirects are not followed"):
            await made.attach(lamp.url)
    assert lamp.asked == ["GET /info"]


async def test_slow_container_is_given_the_orders_time() -> None:
    async with board() as lamp, lab() as made:
        lamp.gate.clear()
        with pytest.raises(NotReady, match=r"did not answer GET /info in 0\.05 s"):
            await made.attach(lamp.url, timeout_s=0.05)
        lamp.gate.set()
        await made.attach(lamp.url)


async def test_nobody_there_is_named() -> None:
    async with lab() as made:
        with pytest.raises(NotReady, match="Connection refused"):
            await made.attach("http://127.0.0.1:1")


async def test_garbage_instead_of_http_is_named() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with scripted(babble) as script, lab() as made:
        with pytest.raises(NotReady, match=script.base_url):
            await made.attach(script.base_url)


# Describing, removing.


async def test_notify_shows_what_changed_and_keeps_id_owner_and_address() -> None:
    async with board() as lamp, lab(NEVER) as made:
        before = await made.attach(lamp.url)
        lamp.info["agents"][0]["agentId"] = "pump"
        lamp.info["owner"] = lamp.info["containerId"] = "mallory"
        after = await made.launcher.describe("c-1")
        assert after is not None
        assert after.description.agents[0].agent_id == "pump"
        assert after.description.owner == "ann"
        assert after.description.container_id == "c-1"
        assert after.description.connectivity == before.description.connectivity
        assert after.transport is before.transport


async def test_failed_notify_leaves_it_listed_as_away() -> None:
    async with board() as lamp, lab(NEVER) as made:
        launched = await made.attach(lamp.url)
        await lamp.down()
        assert await made.launcher.describe("c-1") is None
        assert made.launcher.keeps_on_failure
        assert await made.ids() == ["c-1"]
        assert "away since 2" in await refusal(launched)
        await lamp.up()
        assert await made.launcher.describe("c-1") is not None
        await call(launched)
    assert made.listed.gone == []


async def test_unknown_container_is_not_ours() -> None:
    async with lab() as made:
        assert await made.launcher.describe("c-1") is None
        assert not await made.launcher.stop("c-1")
        assert made.launcher.kept("c-1") is None
        assert made.launcher.away("c-1") is None


async def test_removing_only_forgets() -> None:
    async with board() as lamp, lab() as made:
        await made.attach(lamp.url, key="k")
        assert await made.launcher.stop("c-1")
        assert not await made.launcher.stop("c-1")
        assert made.existing("k") is None
        other = await made.attach(lamp.url, "c-2", key="k")
        assert other.description.container_id == "c-2"
    assert set(lamp.asked) == {"GET /info"}


async def test_removed_container_is_not_looked_at_any_more() -> None:
    async with board() as lamp, board() as other, lab() as made:
        await made.attach(lamp.url, "c-1")
        await made.attach(other.url, "c-2")
        await until(lambda: lamp.looks() > 2)
        await made.launcher.stop("c-1")
        looks = lamp.looks()
        until_now = other.looks()
        await until(lambda: other.looks() > until_now + 3)
        assert lamp.looks() <= looks + 1  # one may have been on its way


# Containers that sleep.


async def test_sleeping_container_is_listed_and_never_contacted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with lab() as made, board() as lamp:
            launched = await made.attach(url, push=True, key="k")
            assert launched.description.image.image_name == "asked-for"
            assert launched.description.container_id == "c-1"
            assert launched.description.agents == []
            assert "sleeps and only reports" in await refusal(launched)
            assert await made.launcher.describe("c-1") == launched
            await made.attach(lamp.url, "c-2")
            await until(lambda: lamp.looks() > 3)
            made.put_forward(100 * 86_400)
            looks = lamp.looks()
            await until(lambda: lamp.looks() > looks)
            assert made.launcher.away("c-1") is None
            assert made.listed.gone == []
            with pytest.raises(BlockingIOError):
                listening.accept()


# What an operator sees.


async def test_operator_sees_how_containers_are_doing(unused_tcp_port: int) -> None:
    async with board() as lamp, board() as pump, lab() as made:
        await made.attach(lamp.url, "c-1", key="chip-7", token="secret")
        await made.attach(pump.url, "c-2")
        await made.attach(f"http://127.0.0.1:{unused_tcp_port}", "c-3", push=True)
        await pump.down()
        await until(lambda: made.launcher.away("c-2"))
        first, second, third = await made.launcher.statuses()
    assert (first.name, first.image, first.state, first.reason) == ("chip-7", "greenhouse", "running", "")
    assert (second.name, second.state) == ("greenhouse", "away")
    assert "Connection refused" in second.reason
    assert third.state == "sleeping"
    assert "secret" not in repr((first, second, third))
    assert {first.launcher, second.launcher, third.launcher} == {"attached"}


async def test_output_of_attached_containers_is_kept_where_they_run() -> None:
    async with board() as lamp, lab() as made:
        await made.attach(lamp.url)
        assert await made.launcher.log("c-9", 10) is None
        with pytest.raises(NotFound):
            made.launcher.follow("c-9", 10)
        with pytest.raises(Unsupported, match="where it runs"):
            await made.launcher.log("c-1", 10)
        with pytest.raises(Unsupported, match="where it runs"):
            made.launcher.follow("c-1", 10)
