"""The steps of the demo, one after the other, until all is there; then what to call."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

from edge.cli.broker_files import write_secret
from edge.cli.broker_init import make_broker
from edge.cli.broker_toml import device_toml, gateway_toml
from edge.cli.containers_live import waiting
from edge.cli.demo_parts import Part, Parts
from edge.cli.failures import Failed
from edge.cli.output import Output, own_command
from edge.errors import OpacaError
from edge.transport.http import HttpClient, HttpTransport, Kind

HOST = "127.0.0.1"
_SITE, _GATEWAY, _BOARD = "home", "cloud", "greenhouse-1"
_VALUE = "/invoke/GetTemperature/climate"
# A slow machine compiles the board's program first.
_PATIENCE_S = 120.0
_CALL_S = 5.0
_LOOK_S = 0.1

_HOME_TOML = """\
[[bundled]]
name = "system"
factory = "edge.bundled.system:container"

[bridge]
listen = "127.0.0.1:0"

"""
_CLOUD_TOML = """\
[[bundled]]
name = "demo"
factory = "edge.cli.demo_agents:container"

[bridge]
listen = "127.0.0.1:0"

"""
_ACCESS_TOML = f"""
[bridge.gateway.sites.{_SITE}]
role = "USER"
"""


def free_port(tcp_port: int = 0) -> int:
    """Return a port of loopback that can be listened on, any or this one; else `OSError`."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((HOST, tcp_port))
        one.listen()
        return int(one.getsockname()[1])


class Demo:
    """What is shown; `run` makes it and goes on until it is cancelled."""

    def __init__(self, parts: Parts, output: Output, client: HttpClient, tcp_port: int) -> None:
        """Args:
        parts: Where its programs are started.
        output: Where it is told of.
        client: Calls the platforms.
        tcp_port: Of the platform at home; the cloud's has the next.
        """
        self._parts = parts
        self._output = output
        self._folder = parts.folder
        self._home = client.transport(f"http://{HOST}:{tcp_port}", kind=Kind.PLATFORM)
        self._cloud = client.transport(f"http://{HOST}:{tcp_port + 1}", kind=Kind.PLATFORM)
        self._began_s = time.monotonic()

    async def run(self) -> Failed | None:
        """Start one part after the other, then say what to call; returns what went wrong."""
        self._output.line("A platform at home, one that plays the cloud, a broker between them, a virtual board:")
        try:
            broker = await self._run_broker()
            await self._run_platforms()
            await self._run_board()
        except Failed as failed:
            return failed
        for line in self._greeting(broker.process.pid):
            self._output.line(line)
        await asyncio.Event().wait()
        return None

    async def _run_broker(self) -> Part:
        folder, port = self._folder / "broker", free_port()
        files, password_file = make_broker(folder, gateway=_GATEWAY, tcp_port=port)
        own_password_file = self._folder / "home.password"
        write_secret(own_password_file, files.add(_SITE, is_gateway=False))
        files.write()
        self._write("home", _HOME_TOML + device_toml(_SITE, _GATEWAY, files.url, own_password_file, None))
        self._write("cloud", _CLOUD_TOML + gateway_toml(_GATEWAY, files.url, password_file, None) + _ACCESS_TOML)
        broker = await self._parts.start("the broker", ["broker", "run", "--folder", str(folder)])

        async def listens() -> bool:
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return True

        await self._until(listens, f"the broker, a Mosquitto of its own, listens on {HOST}:{port}")
        return broker

    async def _run_platforms(self) -> None:
        for name, called, platform in (
            ("home", "the platform at home", self._home),
            ("cloud", "the platform that plays the cloud", self._cloud),
        ):
            folder = self._folder / name
            words = ["run", "--config", str(folder / "opaca-edge.toml"), "--state-dir", str(folder)]
            await self._parts.start(called, [*words, "--port", platform.name.rpartition(":")[2]])

            async def answers(platform: HttpTransport = platform) -> bool:
                return bool(await platform.request("GET", "/info"))

            await self._until(answers, f"{called} answers on {platform.name}")

        async def are_joined() -> bool:
            path, query = "/agents", (("includeConnected", "true"),)
            at_home, in_cloud = [await each.request("GET", path, query) for each in (self._home, self._cloud)]
            return b'"weather"' in at_home and b'"system"' in in_cloud

        await self._until(are_joined, "each sees the agents of the other, through the broker alone")

    async def _run_board(self) -> None:
        words = ["boards", "virtual", _BOARD, "--url", self._home.name]
        await self._parts.start("the virtual board", words, STATE_DIR=str(self._folder))
        for platform, where in ((self._home, "at home"), (self._cloud, "in the cloud")):

            async def gives_value(platform: HttpTransport = platform) -> bool:
                return bool(await platform.request("POST", _VALUE, body=b"{}"))

            await self._until(gives_value, f"the board {_BOARD} gives its temperature {where}")

    def _write(self, name: str, text: str) -> None:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        (folder / "opaca-edge.toml").write_text(text, encoding="utf-8")

    async def _until(self, is_so: Callable[[], Awaitable[bool]], claim: str) -> None:
        """Wait until a claim is true, and say so; what cannot be asked yet is not true yet."""
        give_up_at_s = time.monotonic() + _PATIENCE_S
        async with waiting(f"until {claim}", lambda: "", lambda: asyncio.sleep(0)):
            while not await _is(is_so):
                if time.monotonic() > give_up_at_s:
                    raise Failed(f"it never came so far that {claim}; what the parts said is in {self._folder}")
                await asyncio.sleep(_LOOK_S)
        self._output.line(f"{time.monotonic() - self._began_s:5.1f} s  {claim}")

    def _greeting(self, broker_pid: int) -> list[str]:
        home, cloud, command = self._home.name, self._cloud.name, own_command()
        calls = {
            "the board's temperature, asked at home": f"curl {home}{_VALUE} --json '{{}}'",
            "the same, asked in the cloud: it comes through broker and bridge": f"curl {cloud}{_VALUE} --json '{{}}'",
            "all its values as a live stream, again through the cloud": f"curl -N {cloud}/stream/Values/climate",
            "the other way: an agent in the cloud, asked at home": (
                f"""curl {home}/invoke/GetForecast --json '{{"city": "Berlin"}}'"""
            ),
            "while the broker stands still, what is broadcast waits at home": (
                f"kill -STOP {broker_pid};"
                f""" curl {home}/broadcast/climate-temperature --json '{{"payload": -99}}'; kill -CONT {broker_pid}"""
            ),
            "and then the cloud has heard it, besides what the board broadcasts every minute": (
                f"curl {cloud}/invoke/GetHeard --json '{{}}'"
            ),
            "links, sites and what waits, drawn live": (
                f"{command} bridge status --watch --state-dir {self._folder / 'home'}"
            ),
        }
        lines = ["", "What to try in a second terminal:"]
        for what, call in calls.items():
            lines += ["", f"  # {what}", f"  {call}"]
        return [
            *lines,
            "",
            f"In a browser: {home}/ (home) and {cloud}/ (cloud). Settings and logs are in {self._folder}.",
            "Ctrl-C ends all of it and removes that folder.",
        ]


async def _is(claim: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(_CALL_S):
            return await claim()
    except (OpacaError, OSError):  # a time limit is an OSError
        return False
