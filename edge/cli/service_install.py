"""`service install`: the platform as a service that starts with the machine, under a user of its own."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from edge.cli import service_system
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output
from edge.cli.service_announcement import announcement_file, announcement_text, can_be_found
from edge.cli.service_renewal import install_renewal, own_folder, renewal_units, share_key
from edge.cli.service_secrets import bridge_files, hand_over
from edge.cli.service_system import need_root, run_program, unit_file, write_file
from edge.cli.service_unit import DEVICE_GROUPS, NAME, STATE_DIR, UNIT, ServicePlan, unit_text
from edge.config import PlatformConfig, environment, is_colour_wanted

_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_SECRETS = ("SECRET", "PLATFORM_ADMIN_PWD")
# What systemd and useradd both take.
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,30}", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `service install` takes."""
    parser.add_argument("--user", metavar="NAME", default=NAME, help=f"whom it runs as, made if missing ({NAME})")
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file (else /etc/opaca-edge.toml)")
    parser.add_argument("--port", metavar="PORT", help="where to listen (PORT; 8000)")
    parser.add_argument(
        "--policy", metavar="POLICY", help="what becomes of containers: shutdown, restart or reconnect (SESSION_POLICY)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the unit, change nothing")


def run(arguments: argparse.Namespace) -> None:
    """Install the service, or bring an installed one up to date, and wait until it answers."""
    output = Output(is_colour_wanted=is_colour_wanted(environment()))
    if not _USER_NAME.fullmatch(arguments.user):
        raise Failed(
            f"--user {arguments.user!r}: expected a name of letters, digits, '.', '_' and '-', such as {NAME}",
            ExitCode.USAGE,
        )
    if not arguments.dry_run:
        need_root("service install")
    file = arguments.config.absolute() if arguments.config else None
    wanted = {"PORT": arguments.port, "SESSION_POLICY": arguments.policy, "STATE_DIR": None}
    config = PlatformConfig.load(
        wanted, {"STATE_DIRECTORY": str(STATE_DIR)}, config_file=file, standard_files=(Path("/etc/opaca-edge.toml"),)
    )
    plan = plan_of(arguments.user, config, arguments.port, arguments.policy)
    try:
        text = unit_text(plan)
    except ValueError as error:
        raise Failed(str(error), ExitCode.USAGE) from error
    renewed = own_folder(config)
    if arguments.dry_run:
        print(text, end="")
        for name, more in {} if renewed is None else renewal_units(renewed, plan.environment).items():
            print(f"\n# {name}\n{more}", end="")
        return
    _make_user(plan.user, output)
    service_system.CREDENTIALS.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(unit_file(), text)
    output.line(f"written: {unit_file()}")
    _announce(config, output)
    share_key(config, plan.user, output)
    hand_over(config, plan.user, output)
    install_renewal(renewed, plan.environment, output)
    run_program("systemctl", "daemon-reload")
    run_program("systemctl", "enable", UNIT)
    try:
        run_program("systemctl", "restart", UNIT)
    except Failed as failed:
        raise Failed(f"{failed.message}\nits last lines: opaca-edge service logs") from failed
    said = service_system.properties(["StatusText"])["StatusText"] or "running"
    output.line(f"{said}; it starts with the machine. opaca-edge service status tells more")


def _announce(config: PlatformConfig, output: Output) -> None:
    """Have Avahi announce the platform in the network, if it listens there; a file of an earlier installation goes."""
    file = announcement_file()
    if can_be_found(config):
        write_file(file, announcement_text(config.tcp_port, "http" if config.tls_cert is None else "https"))
        output.line(f"written: {file}; boards find the platform by this machine's name")
    elif file.exists():
        file.unlink()
        output.line(f"removed: {file}, as the platform listens on this machine only")


def plan_of(user: str, config: PlatformConfig, port: str | None, policy: str | None) -> ServicePlan:
    """Return the unit's particulars on this machine; what comes from the configuration file stays there."""
    command = [sys.executable, "-m", "edge", "run"]
    package = Path(__file__).parents[2]
    read = [Path(sys.prefix), Path(sys.base_prefix), package]
    if config.config_file is not None:
        command += ["--config", str(config.config_file)]
        # With the modules of bundled containers, which are looked for beside it.
        read.append(config.config_file.parent)
    if port is not None:
        command += ["--port", port]
    read += [path for path in (config.image_directory, config.default_image_directory) if path is not None]
    # Their folders, because a file that is renewed by renaming is another one.
    read += [path.parent for path in bridge_files(config)]
    read += [path.parent for path in (config.tls_cert, config.tls_key, config.ca_file) if path is not None]
    return ServicePlan(
        user=user,
        command=tuple(command),
        groups=_groups(),
        policy=config.session_policy,
        environment=(
            *python_path(),
            *((("SESSION_POLICY", policy),) if policy is not None else ()),
        ),
        credentials=tuple(
            (name, service_system.CREDENTIALS / name)
            for name in _SECRETS
            if (service_system.CREDENTIALS / name).exists()
        ),
        writable=() if config.state_dir.is_relative_to(STATE_DIR) else (config.state_dir,),
        tcp_port=config.tcp_port,
        readable=_in_homes(read),
    )


def python_path() -> tuple[tuple[str, str], ...]:
    """Return what a unit's environment needs to find the package, which need not be installed: a checkout does."""
    package = Path(__file__).parents[2]
    return () if package.is_relative_to(sys.prefix) else (("PYTHONPATH", str(package)),)


def _groups() -> tuple[str, ...]:
    import grp

    known = {group.gr_name for group in grp.getgrall()}
    return tuple(name for name in DEVICE_GROUPS if name in known)


def _in_homes(paths: list[Path]) -> tuple[Path, ...]:
    """Return what of these is below a home, without what is below another of them.

    Raises:
        Failed: a whole home would have to be shown.
    """
    inside = sorted({path.resolve() for path in paths if _is_in_home(path.resolve()) and path.exists()})
    for path in inside:
        if path in _HOMES or path.parent == _HOMES[0]:
            raise Failed(f"the service would have to read all of {path}: move its files to a folder of their own")
    return tuple(path for path in inside if not any(path != other and path.is_relative_to(other) for other in inside))


def _is_in_home(path: Path) -> bool:
    return any(path.is_relative_to(home) for home in _HOMES)


def _make_user(name: str, output: Output) -> None:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        run_program(
            "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(STATE_DIR),
            "--shell", "/usr/sbin/nologin", name,
        )  # fmt: skip
        output.line(f"made: user {name}")
