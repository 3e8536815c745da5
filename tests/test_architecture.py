"""The repository keeps the rules of `tests/architecture.py`, and every rule finds what it is there to find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.http.caller import Role
from tests.architecture import MAY_IMPORT, PRODUCT, ROOT, RULES, Module, Rule, repository_modules, served_routes


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps_the_rule(rule: Rule) -> None:
    findings = [f"{module.path}:{line}: {text}" for module in repository_modules() for line, text in rule(module)]
    assert not findings, "\n" + "\n".join(findings)


def test_no_folder_of_the_product_is_empty() -> None:
    """A package comes with its first module."""
    packages = [front.parent for part in PRODUCT for front in (ROOT / part).rglob("__init__.py")]
    empty = [package for package in packages if package.parent != ROOT and len(list(package.iterdir())) < 2]
    assert not empty, f"folders with nothing in them, remove them: {', '.join(map(str, empty))}"


def test_every_part_is_named_in_the_import_rules() -> None:
    """A new part of `edge` gets its place among the import directions before it is used."""
    parts = {".".join(module.name.split(".")[:2]) for module in repository_modules() if _is_of_edge(module)}
    assert parts <= MAY_IMPORT.keys(), f"give them a line in MAY_IMPORT: {', '.join(sorted(parts - MAY_IMPORT.keys()))}"


def _is_of_edge(module: Module) -> bool:
    return module.path.startswith("edge/")


# Rule, path, source, and the line where the rule must find something.
BAD_SAMPLES: list[tuple[str, str, str, int]] = [
    ("import_directions", "edge/model/x.py", "import json\nfrom edge.http import errors\n", 2),
    ("import_directions", "edge/runtime/x.py", "import edge.transport.base\nimport edge.transport.http\n", 2),
    ("import_directions", "edge/runtime/x.py", "def later():\n    from edge.launcher import bundled\n", 2),
    ("import_directions", "edge/state/x.py", "from ..runtime import call\n", 1),
    ("import_directions", "edge/bundled/x.py", "from edge.runtime.directory import Directory\n", 1),
    ("import_directions", "edge/app.py", "def later():\n    import bridge.app\n", 2),
    ("import_directions", "edge/cli/x.py", "import bridge.app\n", 1),
    ("import_directions", "edge/cli/x.py", "from micro import flash\n", 1),
    ("import_directions", "bridge/x.py", "from edge.config import PlatformConfig\n", 1),
    ("import_directions", "micro/opaca_micro/x.py", "import edge.errors\n", 1),
    ("import_directions", "examples/x.py", "from edge.runtime import call\n", 1),
    ("sizes", "edge/x.py", "\n" * 400, 400),
    ("sizes", "edge/x.py", "\nasync def long():\n" + "    pass\n" * 60, 2),
    ("module_names", "edge/http/helpers.py", "", 1),
    ("module_names", "edge/core/x.py", "", 1),
    ("package_fronts", "edge/x/__init__.py", "from edge.x.y import z\n", 1),
    ("package_fronts", "edge/x/__init__.py", '"""X."""\n\ndef work(): ...\n', 3),
    ("package_fronts", "edge/x/__init__.py", f'"""X."""\nfrom edge.x import {", ".join("abcdefghijklmnopqrstu")}\n', 1),
    ("banned_calls", "edge/x.py", "import asyncio\nasyncio.create_task(f())\n", 2),
    ("banned_calls", "edge/x.py", "from asyncio import ensure_future as go\ngo(f())\n", 2),
    ("banned_calls", "edge/x.py", "import asyncio\nasyncio.get_running_loop().create_task(f())\n", 2),
    ("banned_calls", "edge/x.py", "class X:\n    def f(self):\n        self.loop.create_task(g())\n", 3),
    ("banned_calls", "edge/x.py", "eval('1')\n", 1),
    ("banned_calls", "edge/x.py", "exec('1')\n", 1),
    ("banned_calls", "edge/x.py", "import os\nos.system('ls')\n", 2),
    ("banned_calls", "edge/x.py", "import subprocess\nsubprocess.run('ls', shell=True)\n", 2),
    ("no_raise_in_a_star", "edge/x.py", "try:\n    f()\nexcept* ValueError:\n    raise KeyError from None\n", 4),
    ("environment", "edge/x.py", "import os\nport = os.environ['PORT']\n", 2),
    ("environment", "edge/x.py", "from os import getenv as ask\nask('PORT')\n", 2),
    ("no_sleep_on_the_loop", "edge/x.py", "import time\nasync def f():\n    time.sleep(1)\n", 3),
    ("no_sleep_on_the_loop", "edge/x.py", "from time import sleep\nasync def f():\n    if x:\n        sleep(1)\n", 4),
    ("no_work_at_import", "edge/x.py", "import socket\nS = socket.socket()\n", 2),
    ("no_work_at_import", "edge/x.py", "import threading\nclass X:\n    t = threading.Thread()\n", 3),
    ("no_work_at_import", "edge/x.py", "TEXT = open('x').read()\n", 1),
    ("no_work_at_import", "edge/x.py", "from pathlib import Path\nTEXT = Path('x').read_text()\n", 2),
    ("no_work_at_import", "edge/x.py", "def f(): ...\nf()\n", 2),
    ("no_work_at_import", "edge/x.py", "for x in y:\n    pass\n", 1),
    ("no_camel_case", "edge/x.py", "class X:\n    agentId: str\n", 2),
    ("no_camel_case", "edge/x.py", "def f(agentId): ...\n", 1),
    ("no_camel_case", "edge/x.py", "class X:\n    def f(self):\n        self._agentId = 1\n", 3),
    ("no_camel_case", "edge/x.py", "def getAgent(): ...\n", 1),
]


@pytest.mark.parametrize(("name", "path", "source", "line"), BAD_SAMPLES)
def test_the_rule_finds_the_bad_sample(name: str, path: str, source: str, line: int) -> None:
    rule = {rule.__name__: rule for rule in RULES}[name]
    assert line in [found for found, _ in rule(Module(path, source))]


def test_every_rule_has_a_bad_sample() -> None:
    assert {name for name, *_ in BAD_SAMPLES} == {rule.__name__ for rule in RULES}


GOOD_SAMPLES: list[tuple[str, str]] = [
    ("edge/cli/x.py", "def run():\n    import bridge.app\n    from micro.flash import boards\n"),
    ("edge/x.py", "import asyncio\nasync def f(tasks: asyncio.TaskGroup):\n    tasks.create_task(g())\n"),
    ("edge/x.py", "try:\n    f()\nexcept* ValueError as group:\n    bad = group\nif bad:\n    raise bad\n"),
    ("edge/config.py", "import os\ndef read():\n    return dict(os.environ)\n"),
    ("edge/x.py", "import time\ndef f():\n    time.sleep(1)\nasync def g():\n    await off(lambda: time.sleep(1))\n"),
    ("edge/x.py", "import re\nDIGITS = re.compile('[0-9]+')\nTABLE = {name: len(name) for name in ('a', 'b')}\n"),
    ("edge/model/x.py", "class X:\n    agentId: str\n"),
    ("edge/__main__.py", "from edge.cli.main import main\nmain()\n"),
]


@pytest.mark.parametrize(("path", "source"), GOOD_SAMPLES)
def test_the_rules_leave_good_code_alone(path: str, source: str) -> None:
    assert [finding for rule in RULES for finding in rule(Module(path, source))] == []


def test_every_route_names_the_lowest_role_that_may_use_it() -> None:
    routes = served_routes()
    assert [route.path for route in routes if not isinstance(route.role, Role)] == []
    # What changes something must never be open to everybody, but for logging in.
    changing = [route for route in routes if route.method != "GET" and route.path != "/login"]
    assert [route.path for route in changing if route.role in (Role.OPEN, Role.ANY, Role.GUEST)] == []


_AT_REST = """
import asyncio, sys
from edge.app import serve
from edge.config import PlatformConfig

async def main() -> None:
    stop = asyncio.Event()
    config = PlatformConfig.from_environ({"STATE_DIR": sys.argv[1], "PORT": "0"})
    await serve(config, stop, lambda url: stop.set())

asyncio.run(main())
print(*sys.modules)
"""


def test_a_platform_at_rest_has_not_imported_what_it_may_never_need(tmp_path: Path) -> None:
    """Each costs memory that a Pi has not got; they are imported by the functions that use them."""
    command = [sys.executable, "-c", _AT_REST, str(tmp_path)]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    rarely_needed = {"jwt", "jsonschema", "referencing", "regex", "yaml", "difflib", "tomllib"}
    assert "edge.bundled.system" in loaded
    assert rarely_needed.isdisjoint(loaded), f"import them where they are used: {rarely_needed & set(loaded)}"
