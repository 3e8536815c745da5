"""The rules of the house that a machine can check. A rule looks at one module and names lines, and how to mend them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from unittest.mock import MagicMock

from edge.api.routes import route_table
from edge.http.routes import Route
from edge.runtime.platform import Platform

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("edge", "bridge", "micro")
EVERYTHING = (*PRODUCT, "tests", "bench", "examples")

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_PUBLIC_LIST = 20

# What a part may import of this repository; everything else of it is forbidden. The longest matching name counts.
_LEAVES = {"edge.errors", "edge.model"}
_BELOW_RUNTIME = _LEAVES | {"edge.state", "edge.http"}
_BELOW_API = _BELOW_RUNTIME | {"edge.runtime", "edge.transport", "edge.launcher"}
# The HTTP transport and what its calls are made of: options, authorities, followed events (docs/decisions/0006).
_HTTP_CLIENT = {
    "edge.transport.http",
    "edge.transport.base",
    "edge.transport.authorities",
    "edge.transport.http_events",
}
MAY_IMPORT: dict[str, set[str]] = {
    "edge": set(),
    "edge.errors": set(),
    "edge.model": {"edge.errors"},
    "edge.settings": {"edge.errors"},
    "edge.config_file": {"edge.errors", "edge.settings"},
    "edge.kept_tokens": set(),
    "edge.reach": {"edge.config", "edge.model"},
    "edge.credentials": {"edge.settings"},
    "edge.notify": set(),
    "edge.config": {"edge.errors", "edge.settings", "edge.config_file", "edge.kept_tokens", "edge.credentials"},
    "edge.transport": _LEAVES,
    "edge.launcher": _LEAVES | {"edge.agents", "edge.transport"},
    "edge.state": _LEAVES,
    "edge.http": _LEAVES,
    "edge.agents": _LEAVES | {"edge.http", "edge.transport"},
    "edge.bundled": {"edge.agents"},
    "edge.runtime": _BELOW_RUNTIME | {"edge.transport.base", "edge.launcher.base"},
    "edge.api": _BELOW_API,
    "edge.app": _BELOW_API
    | {"edge.api", "edge.agents", "edge.bundled", "edge.config", "edge.notify", "edge.reach", "edge.settings"},
    "edge.cli": {"edge"},
    "edge.__main__": {"edge.cli"},
    "bridge": _LEAVES | {"edge.http", *_HTTP_CLIENT},
    "micro.opaca_micro": set(),
    "micro.flash": set(),
    "examples": {"edge.agents"},
}
# Only here, and only inside functions, so that the platform does not pay for them.
LAZILY: dict[str, set[str]] = {"edge.cli": {"bridge", "micro.flash"}}

MEANINGLESS_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "core", "misc"}
READS_ENVIRONMENT = {"edge/config.py", "bridge/config.py"}
# The program of a board, and what the build of a firmware runs.
RUNS_AT_IMPORT = {"micro/main.py", "micro/manifest.py"}
WRITES_CAMEL_CASE = "edge/model/"
_CAMEL_CASE = re.compile(r"_*[a-z][a-z0-9]*[A-Z]\w*")

BANNED_CALLS = {
    "asyncio.create_task": "let a TaskGroup own the task",
    "asyncio.ensure_future": "let a TaskGroup own the task",
    "asyncio.get_event_loop": "use asyncio.get_running_loop()",
    "asyncio.create_subprocess_shell": "use create_subprocess_exec with a list of arguments",
    "eval": "parse the text",
    "exec": "call a function",
    "os.system": "use asyncio.create_subprocess_exec with a list of arguments",
    "os.popen": "use asyncio.create_subprocess_exec with a list of arguments",
}
# MicroPython has none; what starts a task there cancels it where its own life ends.
WITHOUT_TASK_GROUPS = "micro/opaca_micro/"
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}
AT_IMPORT = {
    "open", "print", "asyncio.run", "socket.socket", "socket.create_connection", "sqlite3.connect", "threading.Thread",
    "time.sleep", "subprocess.run", "subprocess.Popen", "logging.basicConfig", "os.listdir", "os.mkdir", "os.makedirs",
    "signal.signal", "atexit.register", "importlib.import_module",
}  # fmt: skip
AT_IMPORT_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "iterdir", "glob", "start"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: `path` relative to the repository, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def name(self) -> str:
        parts = self.path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def is_product(self) -> bool:
        return self.path.startswith(tuple(f"{part}/" for part in PRODUCT))

    @cached_property
    def imported_names(self) -> dict[str, str]:
        """What names bound by imports stand for: after `from asyncio import create_task as go`, go is the former."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names |= {alias.asname: alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return names

    def dotted(self, node: ast.expr) -> str:
        """The full dotted name of an expression, as far as it has one; calls end in `()`, anything else is a `?`."""
        if isinstance(node, ast.Name):
            return self.imported_names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        return f"{self.dotted(node.func)}()" if isinstance(node, ast.Call) else "?"


Finding = tuple[int, str]
Rule = Callable[[Module], Iterator[Finding]]


@cache
def repository_modules() -> tuple[Module, ...]:
    folders = [ROOT / name for name in EVERYTHING if (ROOT / name).is_dir()]
    files = sorted(file for folder in folders for file in folder.rglob("*.py") if "__pycache__" not in file.parts)
    return tuple(Module(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files)


def served_routes() -> tuple[Route, ...]:
    """The platform's routes, without a platform: the table only takes references to its parts."""
    return route_table(MagicMock(spec=Platform, **dict.fromkeys(Platform.__slots__))).routes


def _is_in(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def _part_of(name: str, parts: dict[str, set[str]]) -> str | None:
    return max((part for part in parts if _is_in(name, {part})), key=len, default=None)


def _imports(module: Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, str, bool]]:
    """Each import with the full name of what it takes, and whether it only runs inside a function (or never)."""

    def walk(node: ast.AST, is_lazy: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, str, bool]]:
        for child in ast.iter_child_nodes(node):
            only_for_types = isinstance(child, ast.If) and module.dotted(child.test).endswith("TYPE_CHECKING")
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield child, alias.name, is_lazy
            elif isinstance(child, ast.ImportFrom):
                package = module.name if module.path.endswith("__init__.py") else module.name.rpartition(".")[0]
                base = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                source = ".".join([*base, *([child.module] if child.module else [])])
                for alias in child.names:
                    yield child, f"{source}.{alias.name}", is_lazy
            else:
                yield from walk(child, is_lazy or only_for_types or isinstance(child, Function))

    yield from walk(module.tree, False)


def import_directions(module: Module) -> Iterator[Finding]:
    part = _part_of(module.name, MAY_IMPORT)
    if part is None:
        return
    for node, target, is_lazy in _imports(module):
        if not _is_in(target, {"edge", "bridge", "micro", "tests", "bench", "examples"}) or _is_in(target, {part}):
            continue
        if part != "edge" and _is_in(target, LAZILY.get(part, set())):
            if not is_lazy:
                yield node.lineno, f"{target} at import: import it inside the function that needs it"
        elif not _is_in(target, MAY_IMPORT[part]):
            allowed = ", ".join(sorted(MAY_IMPORT[part])) or "nothing of this repository"
            yield node.lineno, f"{part} imports {target}; it may import {allowed}: move the code, or pass the value in"


def sizes(module: Module) -> Iterator[Finding]:
    lines = module.text.count("\n") + 1
    if lines > LONGEST_FILE:
        yield LONGEST_FILE, f"{lines} lines, more than {LONGEST_FILE}: split it by what changes for different reasons"
    for node in ast.walk(module.tree):
        if isinstance(node, Function) and (length := node.end_lineno - node.lineno + 1) > LONGEST_FUNCTION:
            yield node.lineno, f"{node.name} has {length} lines, more than {LONGEST_FUNCTION}: give its steps names"


def module_names(module: Module) -> Iterator[Finding]:
    for name in module.name.split("."):
        if name in MEANINGLESS_NAMES:
            yield 1, f"'{name}' says nothing: name the module after the one thing it is about"


def package_fronts(module: Module) -> Iterator[Finding]:
    if not module.path.endswith("/__init__.py"):
        return
    if not ast.get_docstring(module.tree):
        yield 1, "no docstring: say in a sentence what the package is for"
    names = 0
    for node in module.tree.body[1:]:
        if isinstance(node, ast.ImportFrom):
            names += len(node.names)
        elif not (isinstance(node, ast.Assign) and module.dotted(node.targets[0]) in {"__all__", "__version__"}):
            yield node.lineno, "more than a docstring and a public list: move it to a module of its own"
    if names > LONGEST_PUBLIC_LIST:
        yield 1, f"{names} public names, more than {LONGEST_PUBLIC_LIST}: let readers import from the modules"


def banned_calls(module: Module) -> Iterator[Finding]:
    if not module.is_product:
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        name = module.dotted(node.func)
        if name in BANNED_CALLS and not (name == "asyncio.create_task" and module.path.startswith(WITHOUT_TASK_GROUPS)):
            yield node.lineno, f"{name}() is banned: {BANNED_CALLS[name]}"
        if re.search(r"loop(\(\))?\.create_task$", name):
            yield node.lineno, f"{name}() is banned: let a TaskGroup own the task"
        if any(word.arg == "shell" and not _is_false(word.value) for word in node.keywords):
            yield node.lineno, "shell= is banned: pass a list of arguments"


def no_raise_in_a_star(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.TryStar):
            for each in (inner for handler in node.handlers for inner in ast.walk(handler)):
                if isinstance(each, ast.Raise) and each.exc is not None:
                    yield each.lineno, "Debian 12's Python wraps what is raised in `except*` in a group: raise it after"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def environment(module: Module) -> Iterator[Finding]:
    if not module.is_product or module.path in READS_ENVIRONMENT or module.path.startswith("micro/"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name) and (name := module.dotted(node)) in ENVIRONMENT:
            yield node.lineno, f"{name}: only {' and '.join(sorted(READS_ENVIRONMENT))} may, others are given values"


def no_sleep_on_the_loop(module: Module) -> Iterator[Finding]:
    if not module.is_product:
        return
    for function in ast.walk(module.tree):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for node in _own_nodes(function):
            if isinstance(node, ast.Call) and module.dotted(node.func) == "time.sleep":
                yield node.lineno, f"time.sleep() stops every agent: await asyncio.sleep() in {function.name}"


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What runs when the function runs: all below it but the bodies of functions and lambdas in it."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, Function | ast.Lambda):
            continue
        yield child
        yield from _own_nodes(child)


def no_work_at_import(module: Module) -> Iterator[Finding]:
    if not module.is_product or module.path.endswith("__main__.py") or module.path in RUNS_AT_IMPORT:
        return
    for statement in module.tree.body:
        if isinstance(statement, ast.If) and _is_main_guard(statement.test):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield statement.lineno, f"{module.dotted(statement.value)} runs at import: call it where the program starts"
        if isinstance(statement, ast.With | ast.For | ast.While):
            yield statement.lineno, "a block that runs at import: put it into a function"
        for node in [] if isinstance(statement, Function) else _own_nodes(statement):
            if isinstance(node, ast.Call) and _works(module, node):
                yield node.lineno, f"{module.dotted(node.func)}() at import: do it when the thing is opened"


def _is_main_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _works(module: Module, call: ast.Call) -> bool:
    is_method_that_does = isinstance(call.func, ast.Attribute) and call.func.attr in AT_IMPORT_METHODS
    return is_method_that_does or module.dotted(call.func) in AT_IMPORT


def no_camel_case(module: Module) -> Iterator[Finding]:
    if not module.is_product or module.path.startswith(WRITES_CAMEL_CASE):
        return
    for node in ast.walk(module.tree):
        name = ""
        if isinstance(node, Function):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.id if isinstance(node, ast.Name) else node.attr
        if _CAMEL_CASE.fullmatch(name):
            yield node.lineno, f"{name}: camelCase is the wire's, keep it in {WRITES_CAMEL_CASE}; here it is snake_case"


RULES: list[Rule] = [
    import_directions, sizes, module_names, package_fronts, banned_calls, no_raise_in_a_star, environment,
    no_sleep_on_the_loop, no_work_at_import, no_camel_case,
]  # fmt: skip
