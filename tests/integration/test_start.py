"""Starting and stopping as users do: what stands in the way is named, and ending takes everything along."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.running import Process, bundled_toml, platform_process, until
from tests.contract.wire import Wire, request_bytes
from tests.integration.laboratory import FACTORY
from tests.integration.websocket import WebSocket


def refused(process: Process) -> str:
    """Start what must not start; returns what it said."""
    process.start()
    assert process.wait() != 0
    assert "Traceback" not in process.log
    return process.log


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_in_use_is_named_with_who_has_it(tmp_path: Path) -> None:
    with taken_port() as port:
        said = refused(platform_process(tmp_path, settings={"PORT": str(port)}))
    assert f"port {port}" in said
    assert str(os.getpid()) in said
    assert len(said.splitlines()) < 5


def test_a_second_platform_is_told_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with platform_process(tmp_path / "first") as first:
        said = refused(platform_process(tmp_path / "second", settings={"PORT": str(first.address[1])}))
        assert str(first.address[1]) in said
        assert str(first.pid) in said
        assert first.ask("GET", "/info").status == 200


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("PORT", "x", "whole number"),
        ("PORT", "70000", "65535"),
        ("PORT", "-1", "65535"),
        ("PORT", "80.0", "whole number"),
        ("REQUIRE_AUTH", "maybe", "true or false"),
        ("SESSION_POLICY", "never", "restart"),
        ("CONTAINER_TIMEOUT_SEC", "soon", "whole number"),
        ("EVENT_HISTORY_SIZE", "many", "whole number"),
        ("PUBLIC_URL", "my-pi", "URL"),
        ("LOG_LEVEL", "loud", "debug"),
        ("SECRET", "c2hvcnQ=", "base64"),
        ("HOST", "0.0.0.0", "--insecure-lan"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_expected(tmp_path: Path, setting: str, value: str, expected: str) -> None:
    said = refused(platform_process(tmp_path, settings={setting: value}))
    assert setting in said
    assert expected in said
    assert (value in said) == (setting != "SECRET")


def test_all_bad_settings_are_named_at_once(tmp_path: Path) -> None:
    said = refused(platform_process(tmp_path, settings={"PORT": "x", "LOG_LEVEL": "loud"}))
    assert "PORT" in said
    assert "LOG_LEVEL" in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[platform\n", "line 1"),
        ("[platform]\nprot = 8000\n", "port"),
        ("[plattform]\n", "platform"),
        ("[platform]\nlog_level = 'loud'\n", "debug"),
        ("[[bundled]]\nname = 'a'\n", "factory"),
        ("[[bundled]]\nname = 'a'\nfactory = 'no colon'\n", "factory"),
        ("[[bundled]]\nname = 'a'\nfactory = 'a:b'\n[[bundled]]\nname = 'a'\nfactory = 'a:b'\n", "'a'"),
        (b"\xff\xfe", "TOML"),
    ],
)
def test_a_bad_configuration_file_is_named_with_the_place(tmp_path: Path, text: str | bytes, named: str) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(Process(["run", "--config", str(path)], tmp_path, {"PORT": "0"}))
    assert str(path) in said
    assert named in said


def test_a_missing_configuration_file_is_named(tmp_path: Path) -> None:
    said = refused(Process(["run", "--config", str(tmp_path / "none.toml")], tmp_path, {"PORT": "0"}))
    assert "none.toml" in said


def test_a_state_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """Whether it starts without, or not at all: it says why, and makes no riddle of it."""
    (tmp_path / "file").write_text("")
    process = platform_process(tmp_path, settings={"STATE_DIR": str(tmp_path / "file" / "state")})
    process.start()
    try:
        until(lambda: str(tmp_path / "file") in process.log or not process.is_running(), "it says something")
    finally:
        process.stop()
    assert str(tmp_path / "file") in process.log
    assert "Traceback" not in process.log


def test_the_first_line_says_where_it_answers(tmp_path: Path) -> None:
    with platform_process(tmp_path) as process:
        until(lambda: f"answers on {process.base_url}" in process.log, "it says where it answers")
        assert process.ask("GET", "/info").json()["baseUrl"] == process.base_url
        assert process.ask("GET", "/config").json()["publicUrl"] is None


def test_only_this_machine_is_served_unless_told_otherwise(tmp_path: Path) -> None:
    with platform_process(tmp_path) as process:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            own_address = probe.getsockname()[0]
        if own_address.startswith("127."):
            pytest.skip("this machine has no other address")
        with pytest.raises(OSError):
            Wire((own_address, process.address[1]), timeout_s=2).close()


def test_serving_everybody_without_login_is_said_loudly(tmp_path: Path) -> None:
    with platform_process(tmp_path, settings={"INSECURE_LAN": "true"}) as process:
        assert re.search(r"WARNING.*(?i:without login)", process.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with platform_process(tmp_path, {"lab": FACTORY}) as process:
        with Wire(process.address) as reader, Wire(process.address) as idle, WebSocket(process.address) as socket_:
            socket_.subscribe("/invoke")
            reader.send(request_bytes("GET", "/stream/Drip"))
            reader.read_head()
            assert idle.exchange(request_bytes("GET", "/info")).status == 200
            os.kill(process.pid, number)
            assert process.wait() == 0
            assert idle.is_closed_within(20)
            assert reader.is_closed_within(20)
        assert "Traceback" not in process.log
        assert "is gone" in process.log


def test_a_call_that_does_not_end_keeps_it_from_nothing(tmp_path: Path) -> None:
    with platform_process(tmp_path, {"lab": FACTORY}) as process:
        with Wire(process.address) as wire:
            wire.send(request_bytes("POST", "/invoke/Wait", {"Content-Type": "application/json"}, b"{}"))
            until(lambda: len(process.ask("GET", "/history").json()) == 1, "the call is under way")
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait() == 0
        assert "Traceback" not in process.log


def test_no_bundled_container_runs_where_none_is_wanted(tmp_path: Path) -> None:
    with platform_process(tmp_path) as process:
        assert process.ask("GET", "/containers").json() == []


def test_the_system_agent_runs_where_nothing_is_configured(tmp_path: Path) -> None:
    with Process(["run"], tmp_path, {"PORT": "0", "STATE_DIR": str(tmp_path / "state")}) as process:
        assert [each["image"]["imageName"] for each in process.ask("GET", "/containers").json()] == ["system"]


def test_the_configuration_decides_what_runs(tmp_path: Path) -> None:
    (tmp_path / "opaca-edge.toml").write_text("[platform]\nport = 0\n" + bundled_toml({"lab": FACTORY}))
    settings = {"STATE_DIR": str(tmp_path / "state"), "OPACA_EDGE_CONFIG": "opaca-edge.toml"}
    with Process(["run"], tmp_path, settings) as process:
        assert [each["image"]["imageName"] for each in process.ask("GET", "/containers").json()] == ["laboratory"]
