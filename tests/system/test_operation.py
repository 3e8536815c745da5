"""What an operator sees of native containers, through the command and the routes of a whole platform."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import Process, platform_process, until

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

if "die" in os.environ.get("MODE", ""):
    print("no bulb found", flush=True)
    sys.exit(3)


class Lamp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({
            "containerId": os.environ["CONTAINER_ID"], "image": {"imageName": "lamp"},
            "agents": [{"agentId": "lamp", "actions": [{"name": "Say", "parameters": {"text": "string"}}]}],
            "runningSince": "2026-04-21T13:13:39.120Z",
        })

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print("said", json.loads(body)["text"], flush=True)
        self.answer(None)

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


print("my password is", os.environ.get("PASSWORD"), flush=True)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Lamp).serve_forever()
"""
PARAMETERS = [{"name": "PASSWORD", "confidential": True, "defaultValue": "default-secret"}, {"name": "MODE"}]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, command in (("lamp", ["python", "main.py"]), ("sleeper", ["sleep", "60"])):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        (folder / "image.json").write_text(json.dumps({"imageName": name, "parameters": PARAMETERS}))
        keys = 'env = { API_KEY = "env-secret" }\ncpu_percent = 50\nrestart = "always"\n'
        (folder / "start.toml").write_text(f"command = {json.dumps(command)}\n{keys}")
        (folder / "main.py").write_text(PROGRAM)
    return tmp_path / "images"


@pytest.fixture
def platform(tmp_path: Path, images: Path) -> Iterator[Process]:
    with platform_process(tmp_path, {}, {"IMAGE_DIRECTORY": str(images)}) as running:
        yield running


def edge(platform: Process, *words: str, expected_code: int = 0) -> str:
    """Run the command against the platform; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", *words, "--url", platform.base_url],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == expected_code, done.stderr
    return done.stdout if expected_code == 0 else done.stderr


def status(platform: Process, name: str = "lamp") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(edge(platform, "containers", name, "--json"))
    return found


def test_no_secret_and_no_variable_is_told(platform: Process) -> None:
    container_id = edge(platform, "containers", "add", "lamp", "PASSWORD=given-secret").strip()
    told = [
        platform.ask("GET", path).body.decode()
        for path in ("/edge/containers", f"/edge/containers/{container_id}/log", "/edge/images")
    ]
    assert "my password is ***" in told[1]
    for text in told:
        assert "secret" not in text
        assert "API_KEY" not in text


def test_killed_container_is_seen_to_come_back(platform: Process) -> None:
    edge(platform, "containers", "add", "lamp")
    before = status(platform)
    assert before["limits"][-1]["name"] == "cpu_percent"
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: status(platform)["state"] == "running" and status(platform)["pid"] != before["pid"], "a new process")
    after = status(platform)
    assert (after["id"], after["restarts"], after["last_exit"]) == (before["id"], 1, "ended by signal 9 (killed)")


def test_output_is_followed_live_until_the_container_is_removed(platform: Process) -> None:
    edge(platform, "containers", "add", "lamp")
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "containers", "logs", "-f", "lamp", "--url", platform.base_url],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True,
    ) as following:  # fmt: skip
        assert following.stdout is not None
        assert following.stdout.readline().startswith("my password is")
        for text in ("one", "two"):
            edge(platform, "invoke", "Say", f"text={text}")
            assert following.stdout.readline() == f"said {text}\n"
        edge(platform, "containers", "remove", "lamp")
        assert following.wait(10) == 0


def test_container_that_does_not_come_up_says_what_it_wrote(platform: Process) -> None:
    said = edge(platform, "containers", "add", "lamp", "MODE=die", expected_code=1)
    assert said.startswith("error: container lamp ")
    assert "exited with status 3" in said
    assert said.endswith("no bulb found\n")
    late = edge(platform, "containers", "add", "sleeper", "--timeout", "1", expected_code=1)
    assert re.search(r"within (1\.0|0\.\d) s", late), late
    assert [each["name"] for each in json.loads(edge(platform, "containers", "--json"))] == []


def test_top_tells_the_time_that_a_container_takes(platform: Process) -> None:
    edge(platform, "containers", "add", "lamp")
    (usage,) = json.loads(edge(platform, "containers", "top", "--json", "--interval", "0.3"))
    assert usage["cpu_percent"] is not None
    assert usage["cpu_limit_percent"] == 50
    assert usage["memory_bytes"] > 1_000_000


def test_update_gives_a_new_id_and_leaves_one_container(platform: Process) -> None:
    old = edge(platform, "containers", "add", "lamp").strip()
    new = edge(platform, "containers", "update", "lamp").strip()
    assert new != old
    until(
        lambda: [each["id"] for each in json.loads(edge(platform, "containers", "--json"))] == [new], "the old to end"
    )
    edge(platform, "containers", "notify", new[:8])
    assert "there is no container" in edge(platform, "containers", "logs", old, expected_code=1)
