"""`service uninstall`: the end of the service; what it kept stays."""

from __future__ import annotations

import argparse

from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.service_announcement import announcement_file
from edge.cli.service_renewal import remove_renewal
from edge.cli.service_system import need_root, properties, run_program, unit_file
from edge.cli.service_unit import STATE_DIR, UNIT
from edge.config import environment, is_colour_wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `service uninstall` takes: nothing."""


def run(arguments: argparse.Namespace) -> None:
    """Stop the service and remove its unit."""
    need_root("service uninstall")
    if not unit_file().exists():
        raise Failed(f"there is no service to remove: {unit_file()} does not exist")
    output = Output(is_colour_wanted=is_colour_wanted(environment()))
    user = properties(["User"]).get("User") or "opaca-edge"
    run_program("systemctl", "disable", "--now", UNIT)
    remove_renewal(output)
    # Containers that were to outlive the platform end with the service.
    try:
        run_program("systemctl", "kill", "--kill-whom=all", UNIT)
    except Failed:
        pass  # nothing was left
    unit_file().unlink()
    run_program("systemctl", "daemon-reload")
    output.line(f"removed: {unit_file()}")
    if announcement_file().exists():
        announcement_file().unlink()
        output.line(f"removed: {announcement_file()}")
    output.line(f"kept: {STATE_DIR} and the user {user}; to remove them: rm -r {STATE_DIR} && userdel {user}")
