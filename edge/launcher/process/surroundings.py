"""What a container's process is given: its command, its variables, its folders."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from edge.errors import NotReady
from edge.launcher.base import Order
from edge.launcher.process.plan import OURS, Plan
from edge.launcher.process.ports import HostPorts

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHONS = ("python", "python3")
# Flags of the interpreter that take a value of their own, and those after which no script follows.
_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")
_PYTHON_MAIN = Path(__file__).parent.parent / "python_main.py"


@dataclass(frozen=True, slots=True)
class ContainerFolder:
    """Where a container keeps its own: below the platform's state, for its ID."""

    path: Path

    @property
    def data(self) -> Path:
        """Its home."""
        return self.path / "data"

    @property
    def output(self) -> Path:
        """What it writes."""
        return self.path / "output.log"

    def make(self) -> None:
        """Make what is missing; only the platform's user may look in. Blocks."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)

    def remove(self) -> None:
        """Remove it with all that is in it. Blocks."""
        shutil.rmtree(self.path, ignore_errors=True)


def variables(
    order: Order, plan: Plan, ports: HostPorts, folder: ContainerFolder, platform_url: str, search_path: str
) -> dict[str, str]:
    """Return the complete environment of a container; nothing of our own gets into it (design decision 4)."""
    own_programs = plan.image.folder / ".venv" / "bin"
    return {
        "PATH": f"{own_programs}:{search_path}" if own_programs.is_dir() else search_path,
        "HOME": str(folder.data),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **{name: value for name, value in plan.image.environment.items() if name not in OURS},
        **plan.parameters,
        "PORT": str(ports.api),
        "CONTAINER_ID": order.container_id,
        "PLATFORM_URL": platform_url,
        "TOKEN": order.token,
        "OWNER": order.owner,
        "PORT_MAPPING": ports.mapping(plan.api_port),
    }


def command(plan: Plan, ports: HostPorts, search_path: str) -> list[str]:
    """Return the program to run, as an absolute path, and its arguments. Blocks.

    Raises:
        NotReady: there is no such program.
    """
    program, *arguments = plan.image.command
    path = _program(program, plan.image.folder, search_path)
    if _is_python(path):
        arguments = _through_python_main(arguments, ports.mapping(plan.api_port))
    return [path, *arguments]


def _program(program: str, folder: Path, search_path: str) -> str:
    if program in _PYTHONS:
        own = folder / ".venv" / "bin" / "python"
        # Not resolved: an interpreter finds its packages by the name it is called by.
        return str(own) if own.exists() else sys.executable
    if "/" in program:
        path = folder / program
        if not path.is_file():
            raise NotReady(f"cannot be started: there is no program {path}")
        return str(path)
    found = shutil.which(program, path=search_path)
    if found is None:
        hint = f"; for the file in its folder write ./{program}" if (folder / program).exists() else ""
        raise NotReady(f"cannot be started: there is no program {program} in {search_path}{hint}")
    return found


def _is_python(path: str) -> bool:
    name = Path(path).name
    return name.startswith("python") and name.removeprefix("python").replace(".", "").isdigit() | (name == "python")


def _through_python_main(arguments: list[str], port_mapping: str) -> list[str]:
    """Let a script or module be run by our own main; flags of the interpreter stay before it."""
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word in _WITH_VALUE:
            position += 2
        elif word == "-m" or not word.startswith("-"):
            return [*arguments[:position], str(_PYTHON_MAIN), port_mapping, *arguments[position:]]
        elif word == "-" or word.startswith("-c"):
            return arguments  # no script that could be run in another's place
        else:
            position += 1
    return arguments
