"""Native containers from start to stop, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from pathlib import Path

import pytest

from edge.errors import Conflict, NotFound, NotReady, ParameterMismatch, Undecodable
from edge.launcher.process import launcher
from edge.model.descriptions import AgentContainerImage, ImageParameter
from tests.system.launching import exists, is_alive, launching, until

pytestmark = pytest.mark.timeout(40)


async def test_a_container_gets_its_variables_and_nothing_of_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("HTTP_PROXY", "http://nowhere.invalid")
    async with launching(tmp_path, search_path="/usr/bin:/bin") as laboratory:
        laboratory.puppet(start='[env]\nCOLOUR = "red"\nTOKEN = "mine"\n', apiPort=9000, extraPorts={"9001": {}})
        puppet = await laboratory.start(token="t0ken", owner="eve", arguments={"MODE": "", "LD_PRELOAD": "/x.so"})
        ports = laboratory.launcher.host_ports(puppet.id)
        assert ports is not None
        assert await puppet.do("environment") == {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path / "state" / "containers" / puppet.id / "data"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "COLOUR": "red",
            "MODE": "",
            "PORT": str(ports.api),
            "CONTAINER_ID": puppet.id,
            "PLATFORM_URL": "http://127.0.0.1:8000",
            "TOKEN": "t0ken",
            "OWNER": "eve",
            "PORT_MAPPING": f"9000:{ports.api},9001:{ports.extra[9001]}",
        }
        assert (tmp_path / "state" / "containers" / puppet.id / "data").stat().st_mode & 0o777 == 0o700


async def test_a_container_runs_in_its_image_in_a_session_of_its_own_with_low_priority(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        folder, _, pid, session, niceness = await puppet.do("place")
        assert folder == str(laboratory.images / "puppet")
        assert pid == session == await puppet.pid() != os.getsid(0)
        assert niceness >= 5


async def test_the_description_is_the_containers_own_but_for_what_the_platform_decides(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(extraPorts={"9001": {"protocol": "TCP", "description": "a page"}})
        puppet = await laboratory.start(owner="eve", arguments={"PASSWORD": "swordfish"})
        description = puppet.launched.description
        ports = laboratory.launcher.host_ports(puppet.id)
        assert ports is not None
        assert description.owner == "eve"
        assert description.arguments == {"MODE": ""}
        assert description.connectivity is not None
        assert description.connectivity.public_url == "http://192.168.1.7"
        assert description.connectivity.api_port_mapping == ports.api
        assert [port.description for port in description.connectivity.extra_port_mappings.values()] == ["a page"]
        assert list(description.connectivity.extra_port_mappings) == [ports.extra[9001]]


async def test_the_registry_is_told_before_start_returns_and_every_process_is_stored_before_it_starts(
    tmp_path: Path,
) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        assert laboratory.told == [("appeared", puppet.id)]
        assert [(of, record["pid"]) for of, record in laboratory.records] == [
            (puppet.id, None),
            (puppet.id, await puppet.pid()),
        ]
        assert await laboratory.launcher.record(puppet.id) == laboratory.records[-1][1]


async def test_a_container_is_not_started_if_it_cannot_be_stored(tmp_path: Path) -> None:
    from edge.errors import NotStored

    async with launching(tmp_path) as laboratory:
        laboratory.puppet()

        async def full(container_id: str, record: object) -> None:
            raise NotStored("the disk is full")

        laboratory.launcher._house.on_record = full
        with pytest.raises(NotStored):
            await laboratory.start()
        assert await laboratory.launcher.statuses() == []


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("dies", r"exited with status 1; its last output:\nthe first line\npassword is \*\*\*\nI cannot go on$"),
        (
            "deaf",
            r"as it should within [\d.]+ s: .*cannot be reached: Connection refused; it wrote nothing",
        ),
        ("rubbish", r"within [\d.]+ s: GET /info answered no JSON"),
        ("no container", "answered GET /info with what is no container description: .*image"),
        ("empty", "answered GET /info with what is no container description"),
        ("other id", r"within [\d.]+ s: GET /info answered as container somebody-else"),
        ("sleeps", r"within [\d.]+ s: GET /info had no answer"),
    ],
)
async def test_a_container_that_does_not_come_up_is_named_and_nothing_of_it_is_left(
    tmp_path: Path, mode: str, reason: str
) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        is_named_at_once = mode in ("dies", "no container", "empty")
        # On a busy machine it may not even have begun after the shortest time.
        for timeout_s in (60.0,) if is_named_at_once else (0.6, 2.0, 8.0):
            with pytest.raises(NotReady) as raised:
                await laboratory.start(timeout_s=timeout_s, arguments={"MODE": mode, "PASSWORD": "swordfish"})
            found = re.search(reason, raised.value.message)
            if found:
                break
        assert found, raised.value.message
        assert "swordfish" not in raised.value.message
        pid = laboratory.records[-1][1]["pid"]
        assert not exists(pid)
        assert list((laboratory.state / "containers").iterdir()) == []
        assert laboratory.launcher._house.tcp_ports.taken == frozenset()
        assert laboratory.told == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["no-such-program"], "cannot be started: there is no program no-such-program"),
        (["./missing"], "cannot be started: there is no program /.*/missing"),
        (["./image.json"], "cannot be started: .*Permission denied"),
        (["image.json"], r"there is no program image.json .*write ./image.json"),
    ],
)
async def test_a_command_that_cannot_be_run_is_named(tmp_path: Path, command: list[str], reason: str) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.image("broken", command)
        with pytest.raises(NotReady, match=reason):
            await laboratory.start("broken")


async def test_wishes_that_cannot_be_met_are_refused_before_anything_starts(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(parameters=[{"name": "MODE", "required": True}])
        with pytest.raises(NotFound, match=r"there is no image pupet .*there is puppet"):
            await laboratory.start("pupet")
        with pytest.raises(ParameterMismatch, match="MODE"):
            await laboratory.start()
        with pytest.raises(Undecodable, match="clientConfig"):
            await laboratory.start(arguments={"MODE": ""}, client_config={"type": "NATIVE", "memoryMb": "much"})
        assert laboratory.records == []


async def test_the_request_may_call_a_parameter_confidential(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        image = AgentContainerImage("puppet", parameters=[ImageParameter("MODE", confidential=True)])
        puppet = await laboratory.start(image=image, arguments={"MODE": "quiet"})
        assert (await puppet.do("environment"))["MODE"] == "quiet"
        assert puppet.launched.description.arguments == {}


async def test_an_id_runs_once(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        with pytest.raises(Conflict):
            await laboratory.start(container_id=puppet.id)


async def test_many_start_at_once_on_ports_of_their_own(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(extraPorts={"9001": {}})
        puppets = await asyncio.gather(*(laboratory.start(timeout_s=20) for _ in range(8)))
        places = [laboratory.launcher.host_ports(puppet.id) for puppet in puppets]
        ports = [port for place in places if place is not None for port in (place.api, *place.extra.values())]
        assert len(set(ports)) == 16
        assert len({await puppet.pid() for puppet in puppets}) == 8


async def test_a_port_that_a_stranger_took_is_replaced_by_another(tmp_path: Path) -> None:
    mark = f"STRANGE_TO={tmp_path}".encode()
    async with launching(tmp_path) as laboratory:
        # The port was free when it was looked at; this container finds somebody else on it, but only the first time.
        script = (
            "import os, socket, subprocess, sys\n"
            "if not os.path.exists('been here'):\n"
            "    open('been here', 'w').close()\n"
            "    subprocess.Popen([sys.executable, '-c', 'import os, socket, time\\n"
            's = socket.create_server(("127.0.0.1", int(os.environ["STRANGE"]))); print("taken", flush=True)\\n'
            f"time.sleep(3600)'], env={{'STRANGE': os.environ['PORT'], 'STRANGE_TO': '{tmp_path}'}},\n"
            "        start_new_session=True,\n"
            "        stdout=open('strange', 'w'), stderr=subprocess.DEVNULL)\n"
            "    while 'taken' not in open('strange').read(): pass\n"
            "    sys.exit('address already in use')\n"
            f"exec(open({str(Path(__file__).parent / 'puppet.py')!r}).read())\n"
        )
        folder = laboratory.image("puppet", ["python", "main.py"])
        (folder / "main.py").write_text(script)
        try:
            puppet = await laboratory.start()
            first, *_, last = [record["api_port"] for _, record in laboratory.records]
            assert first != last
            status = await laboratory.launcher.status(puppet.id)
            assert status is not None
            assert status.host_port == last
        finally:
            # Nothing tells that this one belongs to the container, so only the test can end it.
            for pid in _processes(mark):
                os.kill(pid, 9)
        await until(lambda: not _processes(mark))


def _processes(variable: bytes) -> list[int]:
    """Return the processes that have a variable."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


async def test_stop_ends_what_the_container_started_wherever_it_went(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        sleeper = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(3600)"]
        pids = [await puppet.pid(), await puppet.do("child", command=sleeper, leaves=False)]
        pids.append(await puppet.do("child", command=sleeper, leaves=True))
        before = set(await asyncio.to_thread(laboratory.launcher.processes, puppet.id))
        await puppet.do("orphan", command=sleeper)
        (orphan,) = set(await asyncio.to_thread(laboratory.launcher.processes, puppet.id)) - before
        assert all(map(is_alive, [*pids, orphan]))
        assert await laboratory.launcher.stop(puppet.id)
        assert [pid for pid in [*pids, orphan] if exists(pid)] == []
        assert not (laboratory.state / "containers" / puppet.id).exists()
        assert laboratory.told == [("appeared", puppet.id)]
        assert not await laboratory.launcher.stop(puppet.id)


async def test_a_container_may_tidy_up_before_it_ends(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start(arguments={"MODE": "tidy"})
        async with laboratory.launcher.follow(puppet.id, 10) as pieces:
            assert await anext(pieces) == b"the puppet plays\n"
            await laboratory.launcher.close()
        assert (laboratory.state / "containers" / puppet.id / "output.log").read_text().endswith("tidied up\n")


async def test_stop_answers_in_time_and_a_stubborn_container_ends_after_its_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launcher._STOP_ANSWER_S < 5.0  # what clients wait for
    monkeypatch.setattr(launcher, "_STOP_ANSWER_S", 0.3)
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(start="stop_grace_s = 2.5\n")
        puppet = await laboratory.start(arguments={"MODE": "stubborn"})
        pid = await puppet.pid()
        assert await laboratory.launcher.stop(puppet.id)
        assert is_alive(pid)
        await until(lambda: not exists(pid))
        await until(lambda: laboratory.launcher.host_ports(puppet.id) is None)


async def test_a_container_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        order = laboratory.order(arguments={"MODE": "deaf"})
        starting = asyncio.gather(laboratory.launcher.start(order), return_exceptions=True)
        await until(lambda: laboratory.records and laboratory.records[-1][1]["pid"])
        pid = laboratory.records[-1][1]["pid"]
        assert await laboratory.launcher.stop(order.container_id)
        assert not exists(pid)
        (error,) = await starting
        assert isinstance(error, NotReady)
        assert "was stopped before it came up" in error.message


async def test_a_caller_that_leaves_cancels_nothing(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        order = laboratory.order()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await laboratory.launcher.start(order)
        await until(lambda: order.container_id in laboratory.running)


async def test_the_end_of_the_platform_ends_all_containers_at_once(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(start="stop_grace_s = 60\n")
        modes = ["", "stubborn", "tidy", "stubborn"]
        puppets = await asyncio.gather(*(laboratory.start(arguments={"MODE": mode}) for mode in modes))
        pids = [await puppet.pid() for puppet in puppets]
        began_s = time.monotonic()
        await laboratory.launcher.close()
        assert time.monotonic() - began_s < 30.0
        assert [pid for pid in pids if exists(pid)] == []
        # They are started again with the platform: what they kept is still there.
        assert len(list((laboratory.state / "containers").iterdir())) == 4
        with pytest.raises(Conflict):
            await laboratory.start()
