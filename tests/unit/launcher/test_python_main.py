"""What stands between the interpreter and a container's main: it changes where uvicorn listens, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from edge.launcher import python_main

# As much of uvicorn as matters, in the order in which the real one imports.
UVICORN = {
    "__init__.py": "from uvicorn.config import Config\nfrom uvicorn.main import Server, main, run",
    "config.py": """
        class Config:
            def __init__(self, app, host="127.0.0.1", port=8000, uds=None, fd=None):
                self.app, self.host, self.port, self.uds, self.fd = app, host, port, uds, fd
    """,
    "main.py": """
        import json
        from uvicorn.config import Config
        class Server:
            def __init__(self, config): self.config = config
            def run(self): print(json.dumps([self.config.host, self.config.port, self.config.uds]))
        def run(app, *, host="127.0.0.1", port=8000, **more): Server(Config(app, host=host, port=port, **more)).run()
        def main(): run("app", host="1.2.3.4", port=1)
    """,
    "__main__.py": "import uvicorn\nuvicorn.main()",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "uvicorn"
    package.mkdir()
    for name, text in UVICORN.items():
        (package / name).write_text(dedent(text))
    return tmp_path


def _run(folder: Path, *arguments: str, main: str = "", flags: tuple[str, ...] = ()) -> Any:
    (folder / "main.py").write_text(main)
    command = [sys.executable, *flags, python_main.__file__, "8082:20001,9000:20002", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("main", "where"),
    [
        ("import uvicorn; uvicorn.run(1)", ["127.0.0.1", 20001, None]),
        ("import uvicorn; uvicorn.run(1, host='0.0.0.0', port=8082)", ["127.0.0.1", 20001, None]),
        ("from uvicorn import run; run(1, host='0.0.0.0', port=5000, uds='/x')", ["127.0.0.1", 20001, None]),
        ("from uvicorn.main import run; run(1)", ["127.0.0.1", 20001, None]),
        ("import uvicorn; uvicorn.run(1, host='0.0.0.0', port=9000)", ["0.0.0.0", 20002, None]),
        ("import uvicorn as u; u.Server(u.Config(1, '0.0.0.0', 8082)).run()", ["127.0.0.1", 20001, None]),
        ("import uvicorn as u; u.Server(u.Config(1, '0.0.0.0', 9000)).run()", ["0.0.0.0", 20002, None]),
        ("import uvicorn as u; u.Server(u.Config(1, '0.0.0.0', 5000)).run()", ["0.0.0.0", 5000, None]),
        ("import uvicorn as u; u.Server(u.Config(1, port=8082, uds='/x')).run()", ["127.0.0.1", 8082, "/x"]),
    ],
)
def test_uvicorn_listens_where_the_platform_wants_it(folder: Path, main: str, where: list[Any]) -> None:
    assert _run(folder, "main.py", main=main) == where


def test_uvicorns_own_command_listens_there_too(folder: Path) -> None:
    assert _run(folder, "-m", "uvicorn") == ["127.0.0.1", 20001, None]


FACTS = """
import json, sys
print(json.dumps([__name__, __file__, sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals(),
                  "uvicorn" in sys.modules, __spec__ is None]))
"""


def test_a_script_sees_what_it_would_see_without_us(folder: Path) -> None:
    assert _run(folder, "main.py", "-x", "8082", main=FACTS) == [
        "__main__", "main.py", ["main.py", "-x", "8082"], str(folder), True, False, True
    ]  # fmt: skip


def test_a_script_finds_no_module_of_ours(folder: Path) -> None:
    main = "import json, importlib.util\nprint(json.dumps(importlib.util.find_spec('images')))"
    assert _run(folder, "main.py", main=main) is None


def test_a_module_and_a_folder_run_as_well(folder: Path) -> None:
    assert _run(folder, "-m", "main", "a", main=FACTS)[:2] == ["__main__", str(folder / "main.py")]
    (folder / "__main__.py").write_text("import json, sys; print(json.dumps([__name__, sys.argv]))")
    assert _run(folder, ".", "a") == ["__main__", [".", "a"]]


def test_an_isolated_interpreter_stays_isolated(folder: Path) -> None:
    main = "import json, sys; print(json.dumps(sys.path))"
    assert str(folder) not in _run(folder, "main.py", main=main, flags=("-I",))


def test_processes_that_a_script_starts_find_it(folder: Path) -> None:
    main = """
        import json, multiprocessing
        def double(x): return 2 * x
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(json.dumps(pool.map(double, [1, 2])))
    """
    assert _run(folder, "main.py", main=dedent(main)) == [2, 4]
