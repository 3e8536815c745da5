"""Every server of this project, held to every fixture of its role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fixtures import Case, Face, hold, load
from tests.contract.running import Process, platform_process
from tests.micro.boards import Board, compile_into, on_cpython, on_micropython

CONTAINER = "tests.contract.container:container"
AGENTS = json.loads(Path(__file__).with_name("agents.json").read_text("utf-8"))

# The same container as a board offers it, on CPython and on MicroPython.
BOARD = Path(__file__).parents[1] / "micro/fixtures_board.py"

CASES = load()

# What fixtures use to fill headers and paths.
_FILLERS = {"filler_1k": "x" * 1000, "filler_7k": "x" * 7000, "filler_15k": "x" * 15000}

_TOKEN = "a-token-of-64-characters-0123456789-0123456789-0123456789-0123456"
_PASSWORD = "the administrator's"
_CONTAINER_ID = "0b7d8a1e-6a53-4a0c-9d0e-3f5f6a7b8c9d"


def _named(role: str, setup: str | None = None) -> list[Any]:
    cases = [case for case in CASES if role in case.roles and (setup is None or case.setup == setup)]
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """A platform process with the container of the fixtures bundled."""
    with platform_process(tmp_path_factory.mktemp("platform"), {"contract": CONTAINER}) as process:
        container_id = process.ask("GET", "/containers").json()[0]["containerId"]
        variables = {"base_url": process.base_url, "container_id": container_id, "agents": AGENTS, **_FILLERS}
        yield Face("platform", "platform", process.address, variables=variables)


@pytest.fixture(scope="module")
def empty_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """A platform process with nothing in it."""
    with platform_process(tmp_path_factory.mktemp("empty")) as process:
        yield Face("empty platform", "platform", process.address, variables={"base_url": process.base_url})


@pytest.fixture(scope="module")
def auth_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """A platform process that asks who is calling."""
    settings = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": _PASSWORD}
    with platform_process(tmp_path_factory.mktemp("auth"), settings=settings) as process:
        variables = {"base_url": process.base_url, "password": _PASSWORD}
        yield Face("platform with authentication", "platform", process.address, variables=variables)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """The same container, alone, started as a platform starts it."""
    settings = {
        "CONTAINER_ID": _CONTAINER_ID,
        "TOKEN": _TOKEN,
        "OWNER": "someone",
        "PLATFORM_URL": "http://127.0.0.1:9",
        "PORT": "0",
    }
    with Process(["agents", "run", CONTAINER], tmp_path_factory.mktemp("container"), settings) as process:
        variables = {"container_id": _CONTAINER_ID, "token": _TOKEN, "agents": AGENTS, **_FILLERS}
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        yield Face("container", "container", process.address, headers=headers, variables=variables)


@pytest.fixture(scope="module")
def board_on_cpython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """The board stub with the container of the fixtures, as it runs on a computer."""
    with on_cpython(BOARD, tmp_path_factory.mktemp("board"), _CONTAINER_ID, _TOKEN) as board:
        yield _board_face(board, "board")


@pytest.fixture(scope="module")
def board_on_micropython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """The board stub with the container of the fixtures, as it runs on a board."""
    built = compile_into(tmp_path_factory.mktemp("mpy"), BOARD)
    with on_micropython(built, BOARD.stem, tmp_path_factory.mktemp("board"), _CONTAINER_ID, _TOKEN) as board:
        yield _board_face(board, "board", "micropython")


def _board_face(board: Board, *traits: str) -> Face:
    variables = {"container_id": _CONTAINER_ID, "token": _TOKEN, "agents": AGENTS, **_FILLERS}
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    return Face("board", "container", board.address, frozenset(traits), headers, variables)


@pytest.mark.parametrize("case", _named("platform", "container"))
def test_platform_does_what_the_contract_says(case: Case, platform: Face) -> None:
    _hold(case, platform)


@pytest.mark.parametrize("case", _named("platform", "empty"))
def test_empty_platform_does_what_the_contract_says(case: Case, empty_platform: Face) -> None:
    _hold(case, empty_platform)


@pytest.mark.parametrize("case", _named("platform", "auth"))
def test_platform_with_authentication_does_what_the_contract_says(case: Case, auth_platform: Face) -> None:
    _hold(case, auth_platform)


@pytest.mark.parametrize("case", _named("container"))
def test_container_does_what_the_contract_says(case: Case, container: Face) -> None:
    _hold(case, container)


@pytest.mark.parametrize("case", _named("container"))
def test_board_on_cpython_does_what_the_contract_says(case: Case, board_on_cpython: Face) -> None:
    _hold(case, board_on_cpython)


@pytest.mark.parametrize("case", _named("container"))
def test_board_on_micropython_does_what_the_contract_says(case: Case, board_on_micropython: Face) -> None:
    _hold(case, board_on_micropython)


def test_every_fixture_binds_somebody() -> None:
    assert len(CASES) > 400
    assert {role for case in CASES for role in case.roles} == {"platform", "container"}


def _hold(case: Case, face: Face) -> None:
    if reason := next((case.differs[trait] for trait in face.traits if trait in case.differs), None):
        pytest.skip(f"known difference: {reason}")
    hold(case, face)
