"""Users logged in at containers: tokens pass verbatim, and are kept as long as container and user are."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import Cause, NotFound, NotStored, RemoteError
from edge.http.caller import Caller, Role
from edge.model.requests import Login
from edge.runtime.call import Call
from edge.transport.fake import FakeTransport
from tests.unit.deploying import Works, wish, works

LOGIN = Login(username="eve", password="sesame")


def call(user: str = "admin") -> Call:
    return Call(caller=Caller(name=user, role=Role.USER))


async def started(at: Works, **answers: object) -> tuple[str, FakeTransport]:
    container_id = await at.deployment.add(wish(), 0)
    container = at.directory.container(container_id)
    assert container is not None
    transport = container.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = answers
    return container_id, transport


async def test_a_token_is_what_the_container_wrote(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id, transport = await started(at, login='"quoted"', logout=True)
        assert await at.logins.login(call(), container_id, LOGIN) == '"quoted"'
        assert at.logins.token("admin", container_id) == '"quoted"'
        assert at.logins.token("ann", container_id) is None
        assert await at.logins.logout(call(), container_id) is True
        assert transport.called("logout")[0].options.login_token == '"quoted"'
        assert not await at.logins.logout(call(), container_id)
        assert len(transport.called("logout")) == 1


async def test_users_have_tokens_of_their_own_and_a_later_one_replaces_the_first(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        tokens = iter("abc")
        container_id, _ = await started(at, login=lambda _: next(tokens))
        await at.logins.login(call("eve"), container_id, LOGIN)
        await at.logins.login(call("ann"), container_id, LOGIN)
        await at.logins.login(call("eve"), container_id, LOGIN)
        assert at.logins.token("eve", container_id) == "c"
        assert at.logins.token("ann", container_id) == "b"
        assert at.logins.of_user("eve") == {container_id: "c"}


async def test_a_login_that_is_refused_leaves_the_earlier_one(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id, transport = await started(at, login="first")
        await at.logins.login(call(), container_id, LOGIN)
        transport.answers["login"] = RemoteError("no", Cause(401, "Invalid credentials"))
        with pytest.raises(RemoteError):
            await at.logins.login(call(), container_id, LOGIN)
        assert at.logins.token("admin", container_id) == "first"


async def test_a_logout_that_fails_forgets_the_token(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id, transport = await started(at, login="t", logout=RemoteError("boom", Cause(500, "boom")))
        await at.logins.login(call(), container_id, LOGIN)
        with pytest.raises(RemoteError):
            await at.logins.logout(call(), container_id)
        assert at.logins.token("admin", container_id) is None
        assert transport.called("logout")
        assert not await at.logins.logout(call(), container_id)


async def test_an_unknown_container_is_not_found(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        with pytest.raises(NotFound):
            await at.logins.login(call(), "none", LOGIN)
        with pytest.raises(NotFound):
            await at.logins.logout(call(), "none")


@pytest.mark.parametrize("how", ["remove", "vanish"])
async def test_logins_go_with_their_container(tmp_path: Path, how: str) -> None:
    async with works(tmp_path) as at:
        container_id, _ = await started(at, login="t")
        other, _ = await started(at, login="u")
        await at.logins.login(call(), container_id, LOGIN)
        await at.logins.login(call(), other, LOGIN)
        if how == "remove":
            await at.deployment.remove(container_id)
        else:
            at.deployment.vanished(container_id)
        assert at.logins.token("admin", container_id) is None
        assert at.logins.token("admin", other) == "u"


async def test_a_login_holds_without_a_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with works(tmp_path) as at:
        container_id, _ = await started(at, login="t")
        at.break_disk()
        assert await at.logins.login(call(), container_id, LOGIN) == "t"
        assert at.logins.token("admin", container_id) == "t"
        assert "not kept over a restart" in caplog.text
        at.break_disk(False)


async def test_a_logout_that_cannot_be_kept_holds_and_says_until_when(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id, transport = await started(at, login="t", logout=True)
        await at.logins.login(call(), container_id, LOGIN)
        at.break_disk()
        with pytest.raises(NotStored, match="only until the platform is started again"):
            await at.logins.logout(call(), container_id)
        assert at.logins.token("admin", container_id) is None
        assert transport.called("logout")
        # What was never kept need not go.
        await at.logins.login(call("ann"), container_id, LOGIN)
        assert await at.logins.logout(call("ann"), container_id) is True
        at.break_disk(False)
