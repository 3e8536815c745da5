"""Users and what is done with them: on the disk before it is answered, whoever leaves meanwhile."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.errors import Conflict, NotAllowed, NotFound, NotStored, ParameterMismatch
from edge.http.caller import Caller, Role
from edge.model.descriptions import AgentContainerImage
from edge.model.requests import PostAgentContainer
from edge.model.users import RoleName, UserWish
from edge.runtime.directory import Directory
from edge.runtime.errands import Errands
from edge.runtime.session import StoredContainer
from edge.runtime.trust import Trust, TrustSettings, trust
from edge.runtime.users import User
from edge.state.database import Database
from tests.integration.signed import KEY, claims_of

ADMIN = Caller(name="admin", role=Role.ADMIN, is_authenticated=True)
HERE = "127.0.0.1"


@asynccontextmanager
async def trusted(folder: Path, *, requires_auth: bool = True, password: str | None = "pw") -> AsyncIterator[Trust]:
    settings = TrustSettings(requires_auth=requires_auth, administrator="admin", password=password, key=KEY)
    async with (
        Database(folder) as database,
        Errands() as errands,
        trust(settings, database, errands, Directory()) as made,
    ):
        yield made


def eve(**more: object) -> UserWish:
    return UserWish(**{"username": "eve", "password": "pw", "role": RoleName.USER, **more})  # type: ignore[arg-type]


def stored(container_id: str) -> StoredContainer:
    wish = PostAgentContainer(image=AgentContainerImage(image_name="x"))
    return StoredContainer(container_id=container_id, launcher="process", wish=wish, token=f"token of {container_id}")


async def test_what_is_changed_is_there_again(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        await here.accounts.create(eve(privileges=["a", "b"]), ADMIN)
        await here.accounts.create(eve(username="ann"), ADMIN)
        await here.accounts.change("eve", UserWish(username="eva", role=RoleName.GUEST))
        await here.accounts.remove("ann")
        before = here.users.all()
    async with trusted(tmp_path) as here:
        assert list(here.users.all()) == list(before)
        assert [user.name for user in here.users.all()] == ["admin", "eva"]
        assert here.users.get("eva").privileges == ("a", "b")
        assert claims_of(await here.accounts.login("eva", "pw", HERE))[1]["sub"] == "eva"


async def test_passwords_are_nowhere_to_be_seen(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        user = await here.accounts.create(eve(password="visible"), ADMIN)
        assert user.password.startswith("$scrypt$") and "scrypt" not in repr(user)
    assert b"visible" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (UserWish(username="admin"), Conflict),
        (UserWish(username="m"), ParameterMismatch),
        (eve(role=None), ParameterMismatch),
        (eve(password=None), ParameterMismatch),
        (eve(password="é" * 37), ParameterMismatch),
        (eve(username=""), ParameterMismatch),
        (eve(username="a\nb"), ParameterMismatch),
        (eve(username="x" * 257), ParameterMismatch),
    ],
)
async def test_a_user_that_cannot_be_is_not_made(tmp_path: Path, wish: UserWish, error: type[Exception]) -> None:
    async with trusted(tmp_path) as here:
        with pytest.raises(error):
            await here.accounts.create(wish, ADMIN)
        assert len(here.users.all()) == 1


async def test_only_one_of_two_at_once_gets_a_name(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        made = await asyncio.gather(*(here.accounts.create(eve(), ADMIN) for _ in range(3)), return_exceptions=True)
        assert sorted(type(each).__name__ for each in made) == ["Conflict", "Conflict", "User"]


async def test_a_caller_who_leaves_stops_nothing_half_way(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        adding = asyncio.get_running_loop().create_task(here.users.add(User(name="eve")))
        await asyncio.sleep(0)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        while here.users.get("eve") is None:
            await asyncio.sleep(0.001)
    async with trusted(tmp_path) as here:
        assert here.users.get("eve") is not None


async def test_login_tells_nobody_who_exists(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        for name, password in (("admin", "wrong"), ("nobody", "pw"), ("nobody", None), ("", "")):
            with pytest.raises(NotAllowed, match=r"^$"):
                await here.accounts.login(name, password, HERE)
        with pytest.raises(ParameterMismatch):
            await here.accounts.login("admin", None, HERE)


async def test_a_users_logins_go_with_it_and_follow_its_name(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        await here.accounts.create(eve(), ADMIN)
        await here.accounts.create(eve(username="ann"), ADMIN)
        for name in ("eve", "ann"):
            here.logins._tokens[name, "c-1"] = f"at c-1 of {name}"
            row = ("INSERT INTO logins VALUES (?, 'c-1', ?)", (name, f"at c-1 of {name}"))
            await here.logins._database.write(row)
        await here.accounts.change("eve", UserWish(username="eva"))
        await here.accounts.remove("ann")
        assert here.logins._tokens == {("eva", "c-1"): "at c-1 of eve"}
        await here.accounts.create(eve(username="ann"), ADMIN)
    async with trusted(tmp_path) as here:
        assert here.logins._tokens == {("eva", "c-1"): "at c-1 of eve"}


async def test_logins_are_shown_to_the_user_alone_and_only_to_who_has_shown_a_token(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        here.logins._tokens["admin", "c-1"] = "secret"
        admin = here.users.get("admin")
        assert here.accounts.full_view(admin, ADMIN).container_login_tokens == {"c-1": "secret"}
        for other in (
            Caller(name="eve", role=Role.ADMIN, is_authenticated=True),
            Caller(name="admin", role=Role.ADMIN),
        ):
            assert here.accounts.full_view(admin, other).container_login_tokens is None


async def test_a_containers_user_goes_with_the_container_whatever_removes_it(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        for container_id in ("c-1", "c-2", "c-3"):
            await here.session.put(stored(container_id))
            await here.tenants.move_in(stored(container_id), ADMIN)
        assert here.users.with_token("token of c-1").name == "c-1"
        await here.session.forget("c-1")
        assert here.users.get("c-1") is None and here.users.with_token("token of c-1") is None
        with pytest.raises(ParameterMismatch):
            await here.accounts.change("c-2", UserWish(username="other"))
        await here.accounts.change("c-2", UserWish(role=RoleName.GUEST))
    with sqlite3.connect(tmp_path / "state.sqlite3") as database:
        database.execute("PRAGMA foreign_keys=ON")
        database.execute("DELETE FROM containers WHERE container_id = 'c-3'")
    database.close()
    async with trusted(tmp_path) as here:
        assert {user.name: user.role for user in here.users.all()} == {"admin": RoleName.ADMIN, "c-2": RoleName.GUEST}


async def test_a_user_of_a_container_that_an_administrator_removed_stays_away(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        await here.session.put(stored("c-1"))
        await here.tenants.move_in(stored("c-1"), ADMIN)
        assert await here.accounts.remove("c-1")
    async with trusted(tmp_path) as here:
        assert here.users.get("c-1") is None


async def test_without_authentication_a_container_is_an_ordinary_user(tmp_path: Path) -> None:
    async with trusted(tmp_path, requires_auth=False) as here:
        await here.session.put(stored("c-1"))
        await here.tenants.move_in(stored("c-1"), ADMIN)
        user = here.users.get("c-1")
        assert (user.role, user.privileges) == (RoleName.USER, ())
        assert (here.tenants.owner(ADMIN), here.tenants.token("c-1", "process")) == ("", "")


@pytest.mark.parametrize("requires_auth", [True, False])
async def test_without_a_disk_there_is_an_administrator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, requires_auth: bool
) -> None:
    (tmp_path / "file").write_text("no folder")
    caplog.set_level(logging.CRITICAL)
    async with trusted(tmp_path / "file", requires_auth=requires_auth) as here:
        assert await here.accounts.login("admin", "pw", HERE)
        with pytest.raises(NotStored):
            await here.accounts.create(eve(), ADMIN)


async def test_the_administrators_password_is_made_at_the_first_start_with_authentication(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with trusted(tmp_path, requires_auth=False, password=None) as here:
        assert await here.accounts.login("admin", "", HERE)
        # It is stored with its empty password now, which must not count when callers must log in.
        await here.accounts.change("admin", UserWish(privileges=["a"]))
    async with trusted(tmp_path, password=None) as here:
        with pytest.raises(NotAllowed):
            await here.accounts.login("admin", "", HERE)
        [made] = [record for record in caplog.records if "the password of" in record.getMessage()]
        assert await here.accounts.login("admin", made.args[1], HERE)
    caplog.clear()
    async with trusted(tmp_path, password=None) as here:
        assert await here.accounts.login("admin", made.args[1], HERE)
    assert not caplog.records


async def test_a_peers_user_is_made_replaced_and_removed(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        token = await here.peers.make("http://peer:8000", "admin")
        claims = claims_of(token)[1]
        assert (claims["sub"], claims["exp"] - claims["iat"]) == ("http://peer:8000", 7 * 24 * 3600)
        assert here.users.get("http://peer:8000").role is RoleName.ADMIN
        await here.accounts.create(eve(), ADMIN)
        await here.peers.make("http://peer:8000", "eve")
        await here.peers.make("http://peer:8000", "http://peer:8000")
        assert here.users.get("http://peer:8000").role is RoleName.USER
        with pytest.raises(Conflict):
            await here.peers.make("eve", "admin")
        await here.peers.remove("eve")
        await here.peers.remove("http://peer:8000")
        assert [user.name for user in here.users.all()] == ["admin", "eve"]


async def test_an_unknown_user_is_not_found_by_its_exact_name(tmp_path: Path) -> None:
    async with trusted(tmp_path) as here:
        with pytest.raises(NotFound, match=r"^zoe$"):
            await here.accounts.change("zoe", UserWish())
        assert not await here.accounts.remove("zoe")


async def test_a_user_takes_the_place_of_one_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with trusted(tmp_path) as here:
        await here.accounts.create(eve(), ADMIN)
        await here.logins._database.write(
            ("UPDATE users SET record = '{'", ()), ("INSERT INTO logins VALUES ('eve', 'c-1', 'old')", ())
        )
    async with trusted(tmp_path) as here:
        assert caplog.text.count("cannot be read") == 2
        assert await here.accounts.login("admin", "pw", HERE)
        await here.accounts.create(eve(password="new"), ADMIN)
        assert here.logins._tokens == {}
    async with trusted(tmp_path) as here:
        assert caplog.text.count("cannot be read") == 2
        assert await here.accounts.login("eve", "new", HERE)
        assert here.logins._tokens == {}
