"""The PyPI package `opaca`, unmodified, on a platform that asks who is calling: its client and a container of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import until
from tests.integration.signed import SECRET, claims_of, token_for
from tests.system.households import Household

DRIVER = Path(__file__).with_name("opaca_login.py")
SETTINGS = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}
ADMIN = {"Authorization": f"Bearer {token_for('admin')}"}


@pytest.fixture(scope="module")
def outcomes(real_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What each step of the driver gave."""
    household = Household(tmp_path_factory.mktemp("opaca"), SETTINGS)
    interpreter = real_part("opaca")
    household.sdk(interpreter)
    try:
        household.start()
        eve = {"username": "eve", "password": "pw", "role": "CONTRIBUTOR"}
        assert household.ask("POST", "/users", ADMIN, json_body=eve).status == 201
        token = household.ask("POST", "/login", json_body={"username": "eve", "password": "pw"}).text
        wish = household.wish("sdk")
        started = household.ask(
            "POST", "/containers?timeout=15", {"Authorization": f"Bearer {token}"}, json_body=wish, timeout_s=20
        )
        assert started.status == 200, started.text + household.process.log
        command = [interpreter, DRIVER, household.process.base_url, "eve", "pw", started.text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        users = household.ask("GET", "/users", ADMIN).json()
        yield {**json.loads(done.stdout), "container": started.text, "users": [user["username"] for user in users]}
    finally:
        household.clear_away()
        until(lambda: not household.running(), "everything has ended")


def test_the_client_logs_in_and_renews(outcomes: dict[str, Any]) -> None:
    assert outcomes["before"] == {"error": 401}
    assert outcomes["wrong password"] == {"error": 403}
    assert claims_of(outcomes["login"])[1]["sub"] == "eve"
    assert outcomes["containers"] == ["sdk"]
    first, renewed = (claims_of(outcomes[name])[1] for name in ("login", "renewed"))
    assert renewed["sub"] == "eve" and renewed["exp"] > first["exp"]


def test_the_client_logs_in_at_a_container(outcomes: dict[str, Any]) -> None:
    assert outcomes["whoami before"] == {"error": 502}
    assert outcomes["wrong container login"] == {"error": 502}
    assert outcomes["container login"]
    assert outcomes["whoami"] == "ann"
    assert outcomes["container logout"] is True
    assert outcomes["whoami after"] == {"error": 502}


def test_the_owner_removes_the_container_and_its_user_goes(outcomes: dict[str, Any]) -> None:
    assert outcomes["deleted"] is True
    assert outcomes["users"] == ["admin", "eve"]
