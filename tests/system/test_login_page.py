"""The landing page in a real browser, on a platform that asks who is there, and on one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.running import Process, platform_process
from tests.integration.signed import SECRET, token_for
from tests.system.browser import Tab, browser

pytestmark = pytest.mark.timeout(90)

CONTAINERS = {"contract": "tests.contract.container:container"}
AUTH = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}
ADMIN = {"Authorization": f"Bearer {token_for('admin')}"}

FORM_IS_SHOWN = "document.getElementById('login')?.offsetHeight > 0"
AGENTS_ARE_SHOWN = "document.querySelectorAll('.container').length === 1"
# From now on events are only known as far as they are pushed.
NO_HISTORY = """{
  const ask = window.fetch;
  const isHistory = (address) => String(address).endsWith("/history");
  window.fetch = (address, ...more) => isHistory(address) ? Promise.reject(Error()) : ask(address, ...more);
  null
}"""
NEWS_IS_SHOWN = "document.getElementById('events').innerText.includes('POST /broadcast/news')"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Process]:
    """A platform that asks who is there."""
    with platform_process(tmp_path, CONTAINERS, AUTH) as process:
        yield process


async def log_in(tab: Tab, name: str, password: str) -> None:
    await tab.value("['login-name', 'login-password'].forEach((id) => { document.getElementById(id).value = ''; })")
    await tab.type("login-name", name)
    await tab.type("login-password", password)
    await tab.click("#login-form button")


async def test_who_logs_in_sees_the_platform_live(closed: Process, tmp_path: Path) -> None:
    async with browser(tmp_path) as tab:
        await tab.go(closed.base_url)
        await tab.until(FORM_IS_SHOWN)
        assert "tester" not in await tab.text()
        await log_in(tab, "admin", "wrong")
        await tab.until("document.getElementById('login-wrong').textContent !== ''")
        await log_in(tab, "admin", "admin-pw")
        await tab.until(AGENTS_ARE_SHOWN)
        assert not await tab.value(FORM_IS_SHOWN)
        assert "tester" in await tab.text()
        assert await tab.value("document.getElementById('user').textContent") == "admin"
        await tab.value(NO_HISTORY)
        for _ in range(100):  # it does not say when it follows
            assert closed.ask("POST", "/broadcast/news", headers=ADMIN, json_body={}).status == 200
            if await tab.value(NEWS_IS_SHOWN):
                break
        assert await tab.value(NEWS_IS_SHOWN)
        # What is kept lasts as long as the tab.
        await tab.go(closed.base_url)
        await tab.until(AGENTS_ARE_SHOWN)
        assert await tab.value("Object.keys(localStorage).length + document.cookie.length") == 0
        await tab.click("#logout")
        await tab.until(FORM_IS_SHOWN)
        assert await tab.value("sessionStorage.length") == 0
        assert tab.complaints == []
    assert token_for("admin").split(".")[0] not in closed.log


async def test_whose_user_is_removed_is_asked_again(closed: Process, tmp_path: Path) -> None:
    body = {"username": "eve", "password": "pw", "role": "USER", "privileges": []}
    assert closed.ask("POST", "/users", headers=ADMIN, json_body=body).status == 201
    async with browser(tmp_path) as tab:
        await tab.go(closed.base_url)
        await tab.until(FORM_IS_SHOWN)
        await log_in(tab, "eve", "pw")
        await tab.until(AGENTS_ARE_SHOWN)
        assert closed.ask("DELETE", "/users/eve", headers=ADMIN).text == "true"
        await tab.until(FORM_IS_SHOWN)
        assert "tester" not in await tab.text()


async def test_the_api_explorer_knows_who_is_logged_in(closed: Process, tmp_path: Path) -> None:
    async with browser(tmp_path) as tab:
        await tab.go(closed.base_url)
        await tab.until(FORM_IS_SHOWN)
        await log_in(tab, "admin", "admin-pw")
        await tab.until(AGENTS_ARE_SHOWN)
        await tab.go(f"{closed.base_url}/swagger-ui/index.html?urls.primaryName=Actions%20of%20the%20agents")
        await tab.until("document.body.innerText.includes('/invoke/Add/tester')")


async def test_where_nobody_is_asked_an_old_token_is_forgotten(tmp_path: Path) -> None:
    with platform_process(tmp_path, CONTAINERS) as process:
        async with browser(tmp_path) as tab:
            await tab.go(process.base_url)
            await tab.until(AGENTS_ARE_SHOWN)
            assert not await tab.value(FORM_IS_SHOWN)
            await tab.value(f"sessionStorage.setItem('opaca-token', {token_for('gone')!r})")
            await tab.go(process.base_url)
            await tab.until(AGENTS_ARE_SHOWN)
            assert not await tab.value(FORM_IS_SHOWN)
            assert await tab.value("sessionStorage.length") == 0
