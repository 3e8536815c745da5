"""What boards are given: installed by mip from any web server, or frozen into a firmware."""

from __future__ import annotations

import json
import runpy
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.micro.boards import ROOT, micropython

BUILD_ONLY = {"opaca_micro/cpython.py"}


class _Web(SimpleHTTPRequestHandler):
    """Serves files; addresses in the list are made whole, which mpremote and newer firmware do themselves."""

    def do_GET(self) -> None:
        if self.path != "/package.json":
            super().do_GET()
            return
        listed = json.loads(Path(self.directory, "package.json").read_text())
        base = "http://{}:{}".format(*self.server.server_address)
        body = json.dumps({"urls": [(target, f"{base}/{source}") for target, source in listed["urls"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(built: Path) -> Iterator[str]:
    """A web server with what was built."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Web, directory=str(built))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def on_micropython(program: str, search_path: str, folder: Path) -> str:
    done = subprocess.run(
        [str(micropython()), "-c", program],
        cwd=folder,
        env={"MICROPYPATH": f"{search_path}:.frozen"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_list_for_mip_has_every_module_and_nothing_else() -> None:
    listed = json.loads((ROOT / "micro/package.json").read_text())["urls"]
    sources = {path.relative_to(ROOT / "micro").as_posix() for path in ROOT.glob("micro/opaca_micro/**/*.py")}
    wanted = {path.replace(".py", ".mpy") for path in sources - BUILD_ONLY} | {"microdot.mpy"}
    assert [target for target, _ in listed] == [source for _, source in listed]
    assert {target for target, _ in listed} == wanted


def test_mip_installs_what_was_built(built: Path, web: str, tmp_path: Path) -> None:
    said = on_micropython(f"import mip; mip.install('{web}/package.json', target='lib')", "", tmp_path)
    assert said.endswith("Done\n")
    installed = {path.relative_to(tmp_path / "lib") for path in tmp_path.glob("lib/**/*.mpy")}
    foreign = {"host", "firmware"}
    made = {path.relative_to(built) for path in built.glob("**/*.mpy")}
    assert installed == {path for path in made if path.parts[0] not in foreign}
    assert on_micropython("from opaca_micro import board; print(board.run)", "lib", tmp_path).startswith("<function")


def test_the_manifest_freezes_the_package_beside_it() -> None:
    frozen: list[tuple[str, dict[str, Any]]] = []
    runpy.run_path(str(ROOT / "micro/manifest.py"), {"package": lambda name, **more: frozen.append((name, more))})
    assert [(name, more["base_path"]) for name, more in frozen] == [("opaca_micro", ".")]
    assert (ROOT / "micro" / frozen[0][0] / "board.py").exists()
