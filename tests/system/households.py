"""Platforms with images, as processes of their own, and what runs of their containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.contract.running import Process, platform_process, until
from tests.contract.wire import Response

ACTOR = Path(__file__).with_name("actor.py")
PARAMETERS = [
    {"name": "MODE", "type": "string"},
    {"name": "COLOUR", "type": "string", "defaultValue": "red"},
    {"name": "PASSWORD", "type": "string", "confidential": True},
]

SDK = '''
    import asyncio, os, time
    from fastapi import HTTPException
    from opaca import AbstractAgent, Container, action, run, stream

    class Worker(AbstractAgent):
        """An agent of the SDK."""

        def __init__(self, **settings):
            super().__init__(**settings)
            self.subscribe_channel("news")
            self.users = {}

        async def handle_login(self, login):
            if login.login.password != "sesame":
                raise HTTPException(status_code=401, detail="Invalid credentials")
            self.users[login.token] = login.login.username

        async def handle_logout(self, token):
            self.users.pop(token, None)

        @action
        def where(self) -> str:
            return self.container.container_id

        @action
        def add(self, x: int, y: int) -> int:
            return x + y

        @action
        def block(self, seconds: float) -> None:
            time.sleep(seconds)

        @action
        async def fail(self) -> None:
            raise ValueError("boom")

        @action
        async def heard(self) -> list:
            return [message.model_dump() for message in self.messages]

        @action(auth=True)
        async def whoami(self, login_token: str) -> str:
            return self.users[login_token]

        @stream(mode="GET")
        async def count(self):
            for number in range(3):
                yield f"{number}\\n".encode()

    container = Container("image.json")
    Worker(container=container, agent_id="worker")
    if __name__ == "__main__":
        run(container)
'''


class Household:
    """A platform with a folder of images; it may be stopped, killed and started again in place.

    Args:
        folder: Where its state, its images and its log are.
        settings: Environment variables besides those of every platform under test.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.images = folder / "state" / "images"
        self.settings = dict(settings or {})
        self.process: Process

    def start(self, **settings: str) -> Process:
        """Start the platform, and wait until it answers."""
        self.settings.update(settings)
        process = platform_process(self.folder, settings=self.settings)
        process.__enter__()
        self.process = process
        return process

    def kill(self) -> None:
        """Kill the platform and nothing else."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> float:
        """Ask the platform to end; returns how long that took, in seconds."""
        began_s = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)
        assert self.process.wait(20.0) == 0, self.process.log
        return time.monotonic() - began_s

    def clear_away(self) -> None:
        """End everything, whatever state it is in."""
        if hasattr(self, "process"):
            if self.process.is_running():
                os.kill(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process.stop()
        while found := self.running():
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def image(self, name: str, command: list[str], start: str = "", folder: str = "", **description: Any) -> Path:
        """Make an image folder; what of it is no OPACA description stands in `start` as TOML."""
        path = self.images / (folder or name)
        path.mkdir(parents=True, exist_ok=True)
        (path / "image.json").write_text(json.dumps({"imageName": name, **description}))
        (path / "start.toml").write_text(f"command = {json.dumps(command)}\n{start}")
        return path

    def actor(self, name: str = "actor", start: str = "", folder: str = "", **description: Any) -> None:
        """Make an image of the actor."""
        description = {"parameters": PARAMETERS, **description}
        self.image(name, ["python", "-S", "-E", str(ACTOR)], start, folder, **description)

    def sdk(self, interpreter: Path, name: str = "sdk") -> None:
        """Make an image of a container of the PyPI package `opaca`."""
        folder = self.image(name, ["python", "main.py"])
        (folder / "main.py").write_text(dedent(SDK))
        (folder / ".venv").symlink_to(interpreter.parent.parent)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
        return self.process.ask(method, path, headers=headers, **more)

    def wish(self, image: str = "actor", mode: str = "", **more: Any) -> dict[str, Any]:
        """Return the body of a POST or PUT; further keys are those of its `image`, or `clientConfig`."""
        wish: dict[str, Any] = {"image": {"imageName": image}, "arguments": {"MODE": mode} if mode else {}}
        for key in ("clientConfig", "arguments", "pull"):
            if key in more:
                wish[key] = more.pop(key)
        wish["image"].update(more)
        return wish

    def post(self, image: str = "actor", mode: str = "", timeout: int = 0, **more: Any) -> Response:
        query = f"?timeout={timeout}" if timeout else ""
        return self.ask("POST", f"/containers{query}", json_body=self.wish(image, mode, **more), timeout_s=40)

    def put(self, image: str = "actor", mode: str = "", timeout: int = 0, **more: Any) -> Response:
        query = f"?timeout={timeout}" if timeout else ""
        return self.ask("PUT", f"/containers{query}", json_body=self.wish(image, mode, **more), timeout_s=40)

    def posted(self, image: str = "actor", mode: str = "", **more: Any) -> str:
        """Start a container; returns its ID."""
        answer = self.post(image, mode, **more)
        assert answer.status == 200, answer.text + self.process.log
        return answer.text

    def deleted(self, container_id: str) -> None:
        answer = self.ask("DELETE", f"/containers/{container_id}")
        assert (answer.status, answer.text) == (200, "true")

    def do(self, container_id: str, action: str, **arguments: Any) -> Any:
        """Invoke an action of one container, and return its result."""
        answer = self.ask("POST", f"/invoke/{action}?containerId={container_id}", json_body=arguments, timeout_s=40)
        assert answer.status == 200, answer.text
        return answer.json()

    def listed(self) -> list[str]:
        """Return the IDs of the containers, in the platform's order."""
        return [container["containerId"] for container in self.ask("GET", "/containers").json()]

    def container(self, container_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/containers/{container_id}").json()
        return found

    def url_of(self, container_id: str) -> str:
        """Return where a container listens on this machine."""
        return f"http://127.0.0.1:{self.container(container_id)['connectivity']['apiPortMapping']}"

    def running(self) -> dict[int, str]:
        """Return what runs of this platform's containers: process -> container ID."""
        home = f"HOME={self.folder}/state/containers/".encode()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            for variable in variables:
                if variable.startswith(home):
                    found[int(entry.name)] = variable[len(home) :].decode().partition("/")[0]
        return found

    def pid_of(self, container_id: str) -> int:
        """Return the first process of a container."""
        [pid] = [pid for pid, owner in self.running().items() if owner == container_id]
        return pid

    def settles(self, wanted: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
        """Wait until something holds; shows the log if it never does."""
        try:
            until(wanted, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.log}") from None


@contextlib.contextmanager
def household(folder: Path, **settings: str) -> Iterator[Household]:
    """A running platform with the image of the actor; nothing of it is left afterwards."""
    home = Household(folder, settings)
    try:
        home.actor()
        home.start()
        yield home
    finally:
        home.clear_away()
