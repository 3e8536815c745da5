"""The documentation says what the code says: every setting with its default, every link leads somewhere."""

from __future__ import annotations

import datetime
import re
import runpy
import sys
import typing
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge.agents import Container
from edge.agents.hints import names_like, shape_of
from edge.cli.failures import ExitCode
from edge.cli.main import VERBS
from edge.config import WITHOUT_EFFECT, ClientConfig, ContainerConfig, PlatformConfig
from edge.http.replies import Kind
from edge.settings import settings_of
from tests.architecture import served_routes

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text("utf-8")
AGENTS = (ROOT / "docs/agents.md").read_text("utf-8")
COMMAND = (ROOT / "docs/command.md").read_text("utf-8")
API = (ROOT / "docs/api.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])

# Defaults that are worked out, or that words say better than values.
_IN_WORDS = {"STATE_DIR", "IMAGE_DIRECTORY", "PUBLIC_URL", "SECRET", "PLATFORM_ADMIN_PWD", "PORT_MAPPING"}


def _sections() -> dict[type, str]:
    """The part of the page about each of the three configurations."""
    platform, _, rest = CONFIGURATION.partition("## A container that runs alone")
    container, _, client = rest.partition("## The command as a client")
    return {PlatformConfig: platform, ContainerConfig: container, ClientConfig: client}


def _rows(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", text, re.MULTILINE))


def _as_documented(default: Any) -> set[str]:
    if isinstance(default, Enum):
        return {f"`{default.name.lower()}`"}
    if isinstance(default, bool):
        return {f"`{str(default).lower()}`"}
    return {"none", "empty"} if default in (None, "", ()) else {f"`{default}`"}


@pytest.mark.parametrize("config", [PlatformConfig, ContainerConfig, ClientConfig])
def test_every_setting_is_documented_with_its_default(config: type) -> None:
    rows = _rows(_sections()[config])
    settings = settings_of(config)
    assert rows.keys() - {"NO_COLOR", "PORT_MAPPING"} == {setting.variable for setting in settings.values()}
    for name, setting in settings.items():
        if setting.variable not in _IN_WORDS and not (config is ContainerConfig and setting.variable == "PORT"):
            default = config.__dataclass_fields__[name].default  # type: ignore[attr-defined]
            assert rows[setting.variable] in _as_documented(default), setting.variable


def test_variables_without_effect_are_documented_as_such() -> None:
    assert [name for name in WITHOUT_EFFECT if f"`{name}`" not in CONFIGURATION] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_the_page_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text("utf-8"))
    targets += re.findall(r'src(?:set)?="(?!https?://)([^"]+)"', page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_table_of_hints_says_what_they_become() -> None:
    table = AGENTS.partition("| Hint | OPACA type |")[2].partition("\n\n")[0].replace("\\|", "|")
    rows = re.findall(r"^\| `([^`]+)` \| `([a-z]+)` \|", table.replace(" | `", " | `"), re.MULTILINE)
    known = vars(typing) | {"datetime": datetime.datetime}
    shapes = {hint: shape_of(eval(hint, known), "named", _first_name).type_name for hint, _ in rows}
    assert shapes == dict(rows)
    assert len(rows) > 10


def _first_name(hint: Any, plain: str) -> str:
    return next(names_like(plain, hint))


@pytest.mark.parametrize("source", re.findall(r"```python\n(.*?)```", AGENTS, re.DOTALL))
def test_the_examples_are_containers_that_can_be_described(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("documented")
    monkeypatch.setitem(sys.modules, "documented", module)
    exec(compile(source, "docs/agents.md", "exec"), vars(module))
    made = module.container
    container = made if isinstance(made, Container) else made()
    assert [agent for agent in container.describe().agents if agent.actions or agent.streams]


def test_every_route_is_documented() -> None:
    documented = set(re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \|", API, re.MULTILINE))
    # Pages and documents are the table above it.
    routes = [route for route in served_routes() if route.produces is not Kind.DOCUMENT]
    served = {(route.method, route.path) for route in routes} - {("GET", "/v3/api-docs/actions")}
    assert documented == served | {("GET", "/subscribe"), ("GET", "/edge/containers/{id}/log")}


def test_every_verb_and_exit_code_is_documented() -> None:
    assert set(re.findall(r"^\| `([a-z ]+)` \|", COMMAND, re.MULTILINE)) == VERBS.keys()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", COMMAND, re.MULTILINE)} == set(ExitCode)


def test_every_setting_of_a_board_is_documented() -> None:
    page = (ROOT / "docs/boards.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("## opaca.json")[2].partition("\n## ")[0], re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    known = runpy.run_path(str(ROOT / "micro/opaca_micro/config.py"))["_KEYS"]
    # The one that is told against.
    assert documented | {"password"} == known.keys()
