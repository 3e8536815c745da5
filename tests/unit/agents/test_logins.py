"""Users who log in at a container."""

from __future__ import annotations

from typing import Any

import pytest

from edge.agents import Agent, Login, action, stream
from edge.errors import NotLoggedIn, Unsupported
from edge.transport.base import CallOptions
from tests.unit.agents.running import running


class Mail(Agent):
    """Knows users."""

    def __init__(self, agent_id: str = "mail") -> None:
        super().__init__(agent_id)
        self.users: dict[str, str] = {}

    async def handle_login(self, login: Login, token: str) -> None:
        if login.password != "right":
            raise NotLoggedIn("wrong password")
        self.users[token] = login.username or ""

    def handle_logout(self, token: str) -> None:  # type: ignore[override]
        del self.users[token]

    @action(auth=True)
    async def who(self, login_token: str, suffix: str = "") -> str:
        return self.users[login_token] + suffix

    @stream(mode="GET", auth=True)
    async def inbox(self, login_token: str) -> Any:
        yield self.users[login_token]

    @stream(mode="POST", auth=True)
    async def outbox(self, content: bytes, login_token: str) -> None:
        self.users[login_token] += content.decode()


async def test_who_is_logged_in_may_call_what_asks_for_it() -> None:
    mail = Mail()
    async with running(mail) as home:
        token = await home.login(Login(username="olga", password="right"))
        options = CallOptions(login_token=token)
        assert await home.invoke("Who", {"suffix": "!"}, None, options) == "olga!"
        async with home.get_stream("Inbox", None, options) as pieces:
            assert await anext(pieces) == b"olga"
        assert await home.logout(options) is True
        assert mail.users == {}
        assert await home.logout(options) is False
        with pytest.raises(NotLoggedIn):
            await home.invoke("Who", {}, None, options)


@pytest.mark.parametrize("token", [None, "", "made up"])
async def test_without_a_login_token_it_is_refused_naming_credentials(token: str | None) -> None:
    async with running(Mail()) as home:
        with pytest.raises(NotLoggedIn, match=r"credentials.*401"):
            await home.invoke("Who", {}, None, CallOptions(login_token=token))
        with pytest.raises(NotLoggedIn):
            home.get_stream("Inbox", None, CallOptions(login_token=token))


async def test_a_caller_cannot_pass_a_login_token_as_an_argument() -> None:
    async with running(Mail()) as home:
        token = await home.login(Login(username="olga", password="right"))
        with pytest.raises(Exception, match="no parameter 'login_token'"):
            await home.invoke("Who", {"login_token": token}, None)


async def test_an_agent_that_refuses_ends_the_login_for_all() -> None:
    class Careful(Mail):
        async def handle_login(self, login: Login, token: str) -> None:
            raise NotLoggedIn("not you")

    first = Mail("first")
    async with running(first, Careful("second")) as home:
        with pytest.raises(NotLoggedIn, match="not you"):
            await home.login(Login(username="olga", password="right"))
        assert first.users == {}


async def test_a_container_without_users_knows_no_login() -> None:
    async with running(Agent("a")) as home:
        with pytest.raises(Unsupported, match="knows no users"):
            await home.login(Login(username="olga", password="right"))
        assert await home.logout(CallOptions(login_token="x")) is False


async def test_there_are_only_so_many_logins_and_the_oldest_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.logins._MOST_LOGINS", 3)
    mail = Mail()
    async with running(mail) as home:
        tokens = [await home.login(Login(username=str(n), password="right")) for n in range(5)]
        assert list(mail.users) == tokens[2:]
