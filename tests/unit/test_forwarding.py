"""Broadcasts where one of several does not take them."""

from __future__ import annotations

import pytest

from edge.errors import CalleeError, Cause, RemoteError, Unreachable
from edge.http.caller import Caller, Role
from edge.model.descriptions import RuntimePlatform
from edge.model.requests import Message
from edge.runtime.call import Call
from edge.runtime.catalogue import Catalogue
from edge.runtime.directory import Directory, Peer
from edge.runtime.forwarding import Forwarding
from edge.transport.fake import FakeTransport

FULL = RemoteError("http://bridge/cloud answered 507", Cause(507, "lane alarm is full"), 507)
AWAY = Unreachable("http://bridge/cloud cannot be reached")


def with_two_peers(failure: CalleeError, *, keeps_messages: bool) -> Forwarding:
    """One that takes everything, and one that fails."""
    directory = Directory()
    for url, answers, keeps in (
        ("http://a", {}, False),
        ("http://bridge/cloud", {"broadcast": failure}, keeps_messages),
    ):
        info = RuntimePlatform(platform_id=url, base_url=url, running_since="2026-04-21T13:13:39.120Z")
        directory.put_peer(Peer(url, info, FakeTransport(url, answers=answers), Catalogue(()), keeps))
    return Forwarding(directory, lambda *_: None)


async def broadcast(forwarding: Forwarding) -> None:
    caller = Caller(name="x", role=Role.USER, is_authenticated=True)
    await forwarding.broadcast(Call(caller=caller), "news", Message(1, None))


@pytest.mark.parametrize(("failure", "keeps_messages"), [(FULL, False), (FULL, True), (AWAY, True)])
async def test_it_fails_where_whoever_keeps_messages_did_not_keep_it(
    failure: CalleeError, keeps_messages: bool
) -> None:
    with pytest.raises(CalleeError) as raised:
        await broadcast(with_two_peers(failure, keeps_messages=keeps_messages))
    assert raised.value is failure


async def test_it_succeeds_where_somebody_who_promised_nothing_does_not_take_it() -> None:
    await broadcast(with_two_peers(AWAY, keeps_messages=False))
