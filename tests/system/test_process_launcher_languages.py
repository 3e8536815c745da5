"""Native containers in other languages, and unmodified ones of the PyPI package `opaca`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from edge.errors import NotReady
from edge.model.requests import Message
from tests.system.launching import exists, launching

pytestmark = pytest.mark.timeout(60)

NODE = """
    const http = require("http");
    const env = process.env;
    http.createServer((request, response) => {
      response.setHeader("Content-Type", "application/json");
      if (request.method === "GET") {
        response.end(JSON.stringify({
          containerId: env.CONTAINER_ID, image: { imageName: "greeter" }, runningSince: "2026-04-21T13:13:39.120Z",
          agents: [{ agentId: "g", actions: [{ name: "Greet", result: "string", optional: true }] }],
        }));
      } else {
        response.end(JSON.stringify("hello from node"));
      }
    }).listen(Number(env.PORT), "127.0.0.1");
"""

# A server in nothing but shell: bash opens no listening sockets, so a line of Python accepts for it.
SHELL = """
    #!/bin/sh
    read -r method path rest
    length=0
    while read -r line; do
        line=$(printf '%s' "$line" | tr -d '\\r')
        [ -z "$line" ] && break
        case "$line" in [Cc]ontent-[Ll]ength:*) length=${line#*: } ;; esac
    done
    [ "$length" -gt 0 ] && head -c "$length" > /dev/null
    case "$method $path" in
    "GET /info") body='{"containerId":"'$CONTAINER_ID'","image":{"imageName":"shell"},"runningSince":"2026-04-21T13:13:39.120Z"}' ;;
    *) body='"hello from shell"' ;;
    esac
    printf 'HTTP/1.0 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "${#body}" "$body"
"""  # noqa: E501
ACCEPT = """
    import os, socket, subprocess
    server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    while True:
        connection, _ = server.accept()
        subprocess.run(["/bin/sh", "answer.sh"], stdin=connection, stdout=connection)
        connection.close()
"""


async def test_a_container_in_node_runs_from_its_package(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        complaint = "node is not installed"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    async with launching(tmp_path) as laboratory:
        folder = laboratory.images / "greeter"
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"name": "greeter", "version": "1.2.0", "main": "main.js"}))
        (folder / "main.js").write_text(dedent(NODE))
        puppets = await asyncio.gather(*(laboratory.start("greeter") for _ in range(2)))
        assert [await puppet.do("Greet") for puppet in puppets] == ["hello from node"] * 2


async def test_a_container_in_shell_runs(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        folder = laboratory.image("shell", ["/bin/sh", "-c", "echo I am a shell; exec python3 -S accept.py"])
        (folder / "accept.py").write_text(dedent(ACCEPT))
        (folder / "answer.sh").write_text(dedent(SHELL).lstrip())
        puppet = await laboratory.start("shell")
        assert await puppet.do("Greet") == "hello from shell"
        assert await laboratory.launcher.log(puppet.id, 5) == ["I am a shell"]


SDK = """
    import sys
    from opaca import AbstractAgent, Container, action, run, stream
    from helper import GREETING

    class Adder(AbstractAgent):
        @action
        def add(self, x: int, y: int) -> int:
            "Add two numbers."
            return x + y

        @action
        def where(self) -> list[str]:
            return [__name__, sys.argv[0], *sys.argv[1:], GREETING, self.container.container_id]

        @stream(mode="GET")
        async def count(self):
            for number in range(3):
                yield str(number).encode()

    container = Container("container.json")
    Adder(container=container, agent_id="adder")
    if __name__ == "__main__":
        run(container)
"""


def _sdk_image(images: Path, interpreter: Path, run: str = "run(container)") -> None:
    folder = images / "adder"
    folder.mkdir(parents=True)
    description: dict[str, Any] = {"imageName": "adder", "apiPort": 8082}
    for name in ("image.json", "container.json"):
        (folder / name).write_text(json.dumps(description))
    (folder / "start.toml").write_text('command = ["python", "main.py", "--loud"]\n')
    (folder / "main.py").write_text(dedent(SDK).replace("run(container)", run))
    (folder / "helper.py").write_text("GREETING = 'hello'\n")
    # What a user has who made a virtual environment in the folder of the image.
    (folder / ".venv").symlink_to(interpreter.parent.parent)


async def test_ten_unmodified_sdk_containers_of_one_image_run_at_once(
    tmp_path: Path, real_part: Callable[[str], Path]
) -> None:
    async with launching(tmp_path) as laboratory:
        _sdk_image(laboratory.images, real_part("opaca"))
        puppets = await asyncio.gather(*(laboratory.start("adder", timeout_s=50) for _ in range(10)))
        assert len({await puppet.pid() for puppet in puppets}) == 10
        for number, puppet in enumerate(puppets):
            assert await puppet.do("Add", x=number, y=1) == number + 1
            # The main script runs as if nothing stood between it and the interpreter.
            assert await puppet.do("Where") == ["__main__", "main.py", "--loud", "hello", puppet.id]
            assert puppet.launched.description.image.api_port == 8082
            await puppet.launched.transport.send("adder", Message({"text": "hi"}, None))
            async with puppet.launched.transport.get_stream("Count", "adder") as pieces:
                assert b"".join([piece async for piece in pieces]) == b"012"
        pids = [await puppet.pid() for puppet in puppets]
        await laboratory.launcher.close()
        assert [pid for pid in pids if exists(pid)] == []


@pytest.mark.parametrize(
    "run",
    [
        "run(container, host='0.0.0.0', port=8082)",
        "import uvicorn; from opaca import create_routes; uvicorn.run(create_routes('x', container), port=9999)",
        "import uvicorn; from opaca import create_routes as c; uvicorn.Server(uvicorn.Config(c('x', container), "
        "host='0.0.0.0', port=8082)).run()",
    ],
)
async def test_an_sdk_container_listens_where_it_shall_whatever_its_author_wrote(
    tmp_path: Path, real_part: Callable[[str], Path], run: str
) -> None:
    async with launching(tmp_path) as laboratory:
        _sdk_image(laboratory.images, real_part("opaca"), run)
        puppet = await laboratory.start("adder", timeout_s=30)
        assert await puppet.do("Add", x=1, y=1) == 2
        status = await laboratory.launcher.status(puppet.id)
        assert status is not None
        assert status.host_port is not None
        local = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line]
        assert f"0100007F:{status.host_port:04X}" in local


async def test_an_sdk_container_that_fails_at_its_start_says_why(
    tmp_path: Path, real_part: Callable[[str], Path]
) -> None:
    async with launching(tmp_path) as laboratory:
        _sdk_image(laboratory.images, real_part("opaca"))
        (laboratory.images / "adder" / "helper.py").unlink()
        with pytest.raises(
            NotReady, match=r"exited with status 1(.|\n)*ModuleNotFoundError: No module named 'helper'$"
        ):
            await laboratory.start("adder", timeout_s=30)
