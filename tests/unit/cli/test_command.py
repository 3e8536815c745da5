"""The command as a process: help, exit codes, what it imports, signals, closed outputs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import edge.__main__
from edge.cli.main import VERBS, main
from tests.unit.cli.conftest import Command, Ran, StandIn

ROOT = Path(__file__).parents[3]


async def process(
    *words: str, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)} | dict(environ or {}),
        cwd=cwd,
    )


async def ended(running: asyncio.subprocess.Process) -> Ran:
    out, err = await running.communicate()
    assert running.returncode is not None
    return Ran(running.returncode, out.decode(), err.decode())


async def test_help_lists_every_verb_and_the_exit_codes(command: Command) -> None:
    ran = await command("--help")
    assert ran.code == 0
    assert all(f"  {name}" in ran.out and verb.purpose in ran.out for name, verb in VERBS.items())
    assert "exit codes: 0 done, 1 the call failed, 2 wrong usage, 3 platform not reachable, 130 interrupted" in ran.out


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_a_purpose_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: opaca-edge {name} ")
    assert f"example: opaca-edge {name}" in out
    assert "exit codes:" in out


@pytest.mark.parametrize("verb", ["containers", "containers top", "boards list", "bridge status"])
@pytest.mark.parametrize("interval", ["nan", "inf", "soon"])
def test_an_interval_is_a_time(verb: str, interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--interval", interval]) == 2
    assert f"argument --interval: invalid seconds value: '{interval}'" in capsys.readouterr().err


class _Interrupting:
    """Ctrl-C while a module is looked for."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "edge.cli.main":
            raise KeyboardInterrupt


def test_an_interrupt_while_the_command_is_loaded_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edge.cli.main")
    monkeypatch.setattr(sys, "meta_path", [_Interrupting(), *sys.meta_path])
    assert edge.__main__.main() == 130


def test_help_of_a_group_shows_its_verbs_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "--help"]) == 0
    out = capsys.readouterr().out
    listed = [line for line in out.splitlines() if line.startswith("  ")]
    assert listed and all(line.startswith("  boards ") for line in listed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "usage: opaca-edge"),
        (("invok",), "error: there is no verb 'invok' (did you mean 'invoke'?); opaca-edge --help lists them"),
        (("config",), "error: config needs another word: config show"),
        (("invoke",), "the following arguments are required: ACTION"),
        (("invoke", "X", "--timeout", "soon"), "invalid int value: 'soon'"),
        (("history", "--jso"), "unrecognized arguments: --jso"),
    ],
)
def test_wrong_usage_ends_with_2(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert message in captured.out + captured.err


async def test_version_names_what_it_stands_on(command: Command) -> None:
    ran = await command("--version")
    assert ran.out.startswith("opaca-edge 0.")
    assert "aiohttp" in ran.out
    assert '"msgspec": "' in (await command("version", "--json")).out


async def imported(*words: str) -> set[str]:
    program = "import sys; from edge.cli.main import main; main(sys.argv[1:]); print('\\n'.join(sys.modules))"
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *words, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    out, _ = await running.communicate()
    return set(out.decode().split())


async def test_help_imports_nothing_heavy() -> None:
    assert not {"aiohttp", "asyncio", "msgspec", "argparse", "edge.config"} & await imported("--help")


async def test_verbs_do_not_import_each_other() -> None:
    modules = await imported("run", "--help")
    verbs = {f"edge.cli.{verb.module}" for verb in VERBS.values()}
    assert modules & verbs == {"edge.cli.run"}
    assert not {"aiohttp", "edge.transport.http"} & modules


async def test_interrupt_ends_with_130(platform: StandIn) -> None:
    running = await process("events", "-f", "/nothing")
    assert running.stderr is not None
    assert b"following /nothing" in await running.stderr.readline()
    running.send_signal(signal.SIGINT)
    ran = await ended(running)
    assert (ran.code, ran.err) == (130, "")


async def test_output_that_nobody_reads_any_more_ends_the_command(platform: StandIn) -> None:
    platform.pieces = [b"x" * 100_000] * 20
    running = await process("stream", "Light")
    assert running.stdout is not None
    assert running.stderr is not None
    await running.stdout.readexactly(10)
    running._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    err = await running.stderr.read()
    assert await running.wait() == 141
    assert err == b"error: whoever read the output has stopped reading\n"


@pytest.mark.parametrize("words", ["--help", "bridge --help", "bridge status --help"])
def test_help_that_nobody_reads_ends_quietly(words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "edge", *words.split()]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "error: whoever read the output has stopped reading\n")


@pytest.mark.parametrize("words", ["--help", "version", "version --json"])
def test_output_that_finds_no_room_is_a_failure_in_words(words: str) -> None:
    command = [sys.executable, "-m", "edge", *words.split()]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: No space left on device; ")
    assert "Traceback" not in ran.stderr


async def test_what_the_terminal_cannot_show_is_escaped(platform: StandIn) -> None:
    platform.result = "Küche 日"
    running = await process("invoke", "Off", environ={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    ran = await ended(running)
    assert (ran.code, ran.out) == (0, "K\\xfcche \\u65e5\n")


async def test_config_show_names_origins_and_hides_secrets(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(
        "[platform]\nevent_history_size = 7\nplatform_admin_pwd = 'hunter2'\n"
        "[[bundled]]\nname = 'a'\nfactory = 'm:c'\nparameters = { api_key = 'hunter2', level = 3 }\n"
        "[bridge]\nbroker = 'b'\npassword = 'hunter2'\n[bridge.lanes]\nx = 'alarm'\n"
    )
    ran = await command("config", "show", "--config", str(file), "--port", "81")
    assert ran.code == 0
    assert "hunter2" not in ran.out + ran.err
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["PORT", "81", "argument"] in rows
    assert ["EVENT_HISTORY_SIZE", "7", "file", str(file)] in rows
    assert ["PLATFORM_ADMIN_PWD", "(hidden)", "file", str(file)] in rows
    assert ["bundled:", "a", "from", "m:c", "api_key=(hidden)", "level=3"] in rows
    assert ["bridge.password:", "(hidden)"] in rows
    assert "others may read it" in ran.err
    as_json = await command("config", "show", "--config", str(file), "--json")
    assert '"value": 7' in as_json.out
    assert "hunter2" not in as_json.out


async def test_bad_settings_end_with_2_all_named(command: Command) -> None:
    ran = await command("run", "--port", "x", "--log-level", "loud", "--host", "1.2.3.4")
    assert ran.code == 2
    assert ran.err.splitlines()[:2] == [
        "error: --port='x': expected a whole number from 0 to 65535",
        "--log-level='loud': expected one of debug, info, warning, error",
    ]
    assert ran.err.splitlines()[2].startswith("HOST='1.2.3.4': expected a loopback address")
