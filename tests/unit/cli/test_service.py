"""The service: what its unit says, that systemd accepts and rates it, and what installing one does."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pytest

from edge.cli import service_announcement, service_install, service_system, service_unit
from edge.cli.main import VERBS, VerbModule, main
from edge.cli.service_unit import ServicePlan, unit_text
from edge.config import PlatformConfig, SessionPolicy

PLAN = ServicePlan(user="daemon", command=("/usr/bin/env", "python3", "-m", "edge", "run"))
WIDEST = dataclasses.replace(
    PLAN,
    groups=("dialout",),
    environment=(("SESSION_POLICY", "reconnect"), ("ODD", 'a "b" \\ 100% $HOME')),
    credentials=(("SECRET", Path("/etc/opaca-edge/credentials/SECRET")),),
    writable=(Path("/srv/opaca state"),),
    tcp_port=443,
    readable=(Path("/home/pi/opaca-edge"),),
)
PLANS = [
    dataclasses.replace(plan, policy=policy) for plan in (PLAN, WIDEST) for policy in SessionPolicy
]  # fmt: skip


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.fixture
def analyze(tmp_path: Path) -> Callable[..., str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        complaint = "systemd-analyze is missing: apt-get install systemd"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)

    def run(text: str, *arguments: str) -> str:
        unit = tmp_path / service_unit.UNIT
        unit.write_text(text)
        done = subprocess.run([program, *arguments, str(unit)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("plan", PLANS)
def test_systemd_accepts_every_unit(analyze: Callable[..., str], plan: ServicePlan) -> None:
    assert analyze(unit_text(plan), "verify") == ""


def test_the_check_finds_a_bad_unit(analyze: Callable[..., str]) -> None:
    assert "ProtectSistem" in analyze(unit_text(PLAN).replace("ProtectSystem", "ProtectSistem"), "verify")


@pytest.mark.parametrize("plan", PLANS)
def test_systemd_rates_every_unit_as_safe(analyze: Callable[..., str], plan: ServicePlan) -> None:
    rated = analyze(unit_text(plan), "security", "--offline=true", "--no-pager")
    score = re.search(r"exposure level for \S+: ([\d.]+)", rated)
    assert score is not None
    assert float(score[1]) <= 2.0, rated


def test_how_it_ends_fits_what_becomes_of_containers() -> None:
    ends = {policy: unit_text(dataclasses.replace(PLAN, policy=policy)) for policy in SessionPolicy}
    assert {policy.name: values(text, "KillMode") for policy, text in ends.items()} == {
        "SHUTDOWN": ["mixed"], "RESTART": ["mixed"], "RECONNECT": ["process"],
    }  # fmt: skip
    # What outlives the platform must keep its /tmp, and a group that is divided could not be started again.
    assert values(ends[SessionPolicy.RECONNECT], "PrivateTmp") == []
    assert values(ends[SessionPolicy.RECONNECT], "Delegate") == []
    assert values(ends[SessionPolicy.RESTART], "Delegate") == ["cpu memory"]
    assert values(ends[SessionPolicy.RESTART], "ProtectControlGroups") == ["no"]


def test_it_starts_without_a_network() -> None:
    assert values(unit_text(PLAN), "After") == ["network.target"]
    assert values(unit_text(PLAN), "Wants") + values(unit_text(PLAN), "Requires") == []


def test_devices_are_those_of_boards_and_pins_only() -> None:
    text = unit_text(WIDEST)
    assert values(text, "DevicePolicy") == ["closed"]
    assert {each.split()[0] for each in values(text, "DeviceAllow")} == {
        f"char-{kind}" for kind in ("gpiochip", "i2c", "spi", "ttyACM", "ttyAMA", "ttyS", "ttyUSB")
    }
    assert values(text, "SupplementaryGroups") == ["dialout"]
    assert values(text, "WorkingDirectory") == ["%t/opaca-edge"]


def test_only_a_low_port_needs_a_capability() -> None:
    assert values(unit_text(PLAN), "CapabilityBoundingSet") == [""]
    assert values(unit_text(WIDEST), "AmbientCapabilities") == ["CAP_NET_BIND_SERVICE"]


def test_words_reach_the_program_as_they_are() -> None:
    text = unit_text(dataclasses.replace(WIDEST, command=("/opt/a b/python", "50%", "$x", "")))
    assert values(text, "ExecStart") == ['"/opt/a b/python" 50%% $$x ""']
    assert values(text, "Environment") == ["SESSION_POLICY=reconnect", '"ODD=a \\"b\\" \\\\ 100%% $HOME"']
    with pytest.raises(ValueError, match="cannot stand"):
        unit_text(dataclasses.replace(PLAN, environment=(("A", "b\nExecStart=/bin/sh"),)))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose programs only write down how they are called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("systemctl", "useradd", "journalctl"):
        program = programs / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/called\n'
            f'[ -f {tmp_path}/fails ] && [ "$1" = "$(cat {tmp_path}/fails)" ] && echo "no such luck" >&2 && exit 1\n'
            '[ "$1" = show ] && printf "ActiveState=active\\nStatusText=Answers on http://x:1\\nUser=u\\n'
            'MainPID=7\\nMemoryCurrent=[not set]\\nNRestarts=0\\n"\nexit 0\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(service_system, "UNIT_FOLDER", tmp_path / "units")
    monkeypatch.setattr(service_system, "CREDENTIALS", tmp_path / "credentials")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(service_announcement, "FOLDER", tmp_path / "avahi")
    (tmp_path / "units").mkdir()
    return tmp_path


def called(machine: Path) -> list[str]:
    return (machine / "called").read_text().splitlines()


def test_installing_makes_user_and_unit_and_starts_it(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (machine / "credentials").mkdir()
    (machine / "credentials/SECRET").write_text("x")
    assert main(["service", "install", "--user", "no-such-user", "--port", "8123", "--policy", "reconnect"]) == 0
    assert called(machine)[0].startswith("useradd --system")
    assert [line.split()[1] for line in called(machine)[1:]] == ["daemon-reload", "enable", "restart", "show"]
    unit = machine / "units/opaca-edge.service"
    assert oct(unit.stat().st_mode & 0o777) == "0o644"
    text = unit.read_text()
    assert values(text, "ExecStart")[0].endswith(" -m edge run --port 8123")
    assert "SESSION_POLICY=reconnect" in values(text, "Environment")
    assert values(text, "KillMode") == ["process"]
    assert values(text, "LoadCredential") == [f"SECRET:{machine}/credentials/SECRET"]
    assert "Answers on http://x:1" in capsys.readouterr().out


def test_a_user_that_is_there_is_taken(machine: Path) -> None:
    assert main(["service", "install", "--user", "daemon"]) == 0
    assert not any(line.startswith("useradd") for line in called(machine))


def test_a_dry_run_prints_and_changes_nothing(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--dry-run"]) == 0
    assert "[Service]" in capsys.readouterr().out
    assert list((machine / "units").iterdir()) == []
    assert not (machine / "called").exists()


@pytest.mark.parametrize("name", ["b d", "", "-x", "a\nExecStart=/bin/sh", "0", "a:b", "%i", "a" * 40])
def test_what_can_be_no_user_is_refused(machine: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", f"--user={name}", "--dry-run"]) == 2
    said = capsys.readouterr()
    assert "expected a name of letters" in said.err
    assert not said.out


def test_the_configuration_file_decides_too(machine: Path, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[platform]\nsession_policy = "reconnect"\nport = 80\nstate_dir = "/srv/opaca"\n')
    assert main(["service", "install", "--user", "daemon", "--config", str(file)]) == 0
    text = (machine / "units/opaca-edge.service").read_text()
    assert values(text, "KillMode") == ["process"]
    assert values(text, "AmbientCapabilities") == ["CAP_NET_BIND_SERVICE"]
    assert values(text, "ReadWritePaths") == ["/srv/opaca"]
    assert f"--config {file}" in values(text, "ExecStart")[0]


def test_settings_that_do_not_fit_install_nothing(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--port", "x"]) == 2
    assert "--port" in capsys.readouterr().err
    assert list((machine / "units").iterdir()) == []


def test_a_start_that_fails_is_said_with_its_reason(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (machine / "fails").write_text("restart")
    assert main(["service", "install", "--user", "daemon"]) == 1
    said = capsys.readouterr().err
    assert "no such luck" in said
    assert "service logs" in said


def test_status_logs_and_uninstall(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "status"]) == 1
    assert "service install" in capsys.readouterr().err
    assert main(["service", "install", "--user", "daemon"]) == 0
    capsys.readouterr()
    assert main(["service", "status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["memory"], shown["process"]) == ("active", "-", "7")
    assert main(["service", "logs", "-f", "-n", "5"]) == 0
    assert called(machine)[-1] == "journalctl --unit=opaca-edge.service --lines=5 --no-pager --follow"
    assert main(["service", "uninstall"]) == 0
    assert "disable --now" in "\n".join(called(machine))
    assert list((machine / "units").iterdir()) == []
    assert "kept: /var/lib/opaca-edge" in capsys.readouterr().out
    assert main(["service", "uninstall"]) == 1


@pytest.fixture
def avahi(machine: Path) -> Path:
    """The folder of Avahi's service files on the machine."""
    program = machine / "programs/avahi-daemon"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (machine / "avahi").mkdir()
    return machine / "avahi"


def test_a_platform_in_the_network_is_announced_until_it_is_uninstalled(
    avahi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[platform]\nrequire_auth = true\nhost = "0.0.0.0"\nport = 8123\n')
    install = ["service", "install", "--user", "daemon", "--config", str(file)]
    assert main([*install, "--dry-run"]) == 0
    assert list(avahi.iterdir()) == []
    assert main(install) == 0
    announced = avahi / "opaca-edge.service"
    assert f"written: {announced}" in capsys.readouterr().out
    assert oct(announced.stat().st_mode & 0o777) == "0o644"
    group = ElementTree.fromstring(announced.read_text())
    assert group.findtext("service/type") == "_opaca._tcp"
    assert group.findtext("service/port") == "8123"
    assert [record.text for record in group.iter("txt-record")] == ["path=/", "scheme=http"]
    name = group.find("name")
    assert name is not None and name.get("replace-wildcards") == "yes"
    assert main(["service", "uninstall"]) == 0
    assert list(avahi.iterdir()) == []
    assert f"removed: {announced}" in capsys.readouterr().out


def test_a_platform_that_nobody_else_reaches_is_not_announced(
    avahi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[platform]\n")
    (avahi / "opaca-edge.service").touch()
    assert main(["service", "install", "--user", "daemon", "--config", str(file)]) == 0
    assert list(avahi.iterdir()) == []
    assert "listens on this machine only" in capsys.readouterr().out


def test_without_avahi_there_is_no_word_of_it(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--user", "daemon"]) == 0
    assert "boards find" not in capsys.readouterr().out
    assert not (machine / "avahi").exists()


def test_only_root_installs(machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for verb in ("install", "uninstall"):
        assert main(["service", verb]) == 1
        assert f"sudo opaca-edge service {verb}" in capsys.readouterr().err


def test_without_systemd_that_is_said(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(machine))
    assert main(["service", "install", "--user", "daemon"]) == 1
    assert "needs systemd" in capsys.readouterr().err


def test_only_what_is_needed_of_homes_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "pi/edge/.venv").mkdir(parents=True)
    (home / "pi/images").mkdir()
    monkeypatch.setattr(service_install, "_HOMES", (home,))
    monkeypatch.setattr(sys, "prefix", str(home / "pi/edge/.venv"))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    config = PlatformConfig.from_environ({"IMAGE_DIRECTORY": str(home / "pi/images"), "STATE_DIR": "/var/lib/x"})
    plan = service_install.plan_of("daemon", config, None, None)
    assert plan.readable == (home / "pi/edge/.venv", home / "pi/images")
    whole = PlatformConfig.from_environ({"IMAGE_DIRECTORY": str(home / "pi"), "STATE_DIR": "/var/lib/x"})
    from edge.cli.failures import Failed

    with pytest.raises(Failed, match="all of"):
        service_install.plan_of("daemon", whole, None, None)


def test_the_commands_of_the_documentation_are_understood() -> None:
    page = (Path(__file__).parents[3] / "docs/service.md").read_text("utf-8")
    commands = [shlex.split(line) for line in re.findall(r"^\s*(?:sudo )?opaca-edge (.+)$", page, re.MULTILINE)]
    assert len(commands) > 6
    for words in commands:
        name = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]
        module = cast(VerbModule, importlib.import_module(f"edge.cli.{VERBS[name].module}"))
        parser = argparse.ArgumentParser(exit_on_error=False)
        module.add_arguments(parser)
        parser.parse_args(words[len(name.split()) :])
    for option in re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE):
        parser = argparse.ArgumentParser(exit_on_error=False)
        service_install.add_arguments(parser)
        assert option in parser.format_help()
