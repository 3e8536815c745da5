"""The configuration file: where it is and what its sections hold (TOML, one file for platform and bridge)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.settings import BadSetting, Source, nearest

STANDARD_FILES = (Path("/etc/opaca-edge.toml"), Path("opaca-edge.toml"))

_SECTIONS = ("platform", "bundled", "bridge")
_BUNDLED_KEYS = ("name", "factory", "parameters")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledContainer:
    """A container that runs inside the platform's process.

    Attributes:
        name: Its name, unique on this platform; its stable container ID is made from it.
        factory: `module:attribute`, a container or what returns one.
        parameters: Keyword arguments for the factory, as they stand in TOML.
    """

    name: str
    factory: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


# What runs where no file says what to run.
SYSTEM = BundledContainer(name="system", factory="edge.bundled.system:container")


def find_file(named: Path | None, environ: Mapping[str, str], standard_files: Sequence[Path]) -> Path | None:
    """Return the configuration file to read; one that is named need not exist here, a standard one does."""
    if named is not None:
        return named
    variable = environ.get("OPACA_EDGE_CONFIG")
    if variable is not None:
        return Path(variable).expanduser() if variable else None
    return next((path for path in standard_files if path.exists()), None)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the file's sections.

    Raises:
        BadSetting: it cannot be read, or is not TOML, with the place.
    """
    import tomllib  # not needed where there is no file

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise BadSetting(
            f"configuration file {path}: {error.strerror or error}; name another one with --config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"configuration file {path}: not TOML: {error}") from error


def platform_section(document: Mapping[str, Any], path: Path, known: Collection[str], problems: list[str]) -> Source:
    """Return what `[platform]` gives; sections and keys that do not exist are added to `problems`.

    Args:
        known: The variables that there are.
    """
    for name in document:
        if name not in _SECTIONS:
            hint = nearest(name, _SECTIONS) or " (is it in [platform]?)" * (name.upper() in known)
            problems.append(f"{name} ({path}): there is no such section{hint}")
    section = document.get("platform", {})
    if not isinstance(section, dict):
        problems.append(f"platform ({path}): expected a section [platform]")
        section = {}
    keys = [variable.lower() for variable in known]
    problems.extend(
        f"platform.{key} ({path}): there is no such setting{nearest(key, keys)}" for key in section if key not in keys
    )
    return Source(f"file {path}", {key.upper(): value for key, value in section.items()}, path.absolute().parent)


def bundled_section(
    document: Mapping[str, Any], path: Path | None, problems: list[str]
) -> tuple[BundledContainer, ...]:
    """Return the containers that `[[bundled]]` lists; the `system` agent if the file does not say."""
    if "bundled" not in document:
        return (SYSTEM,)
    entries = document["bundled"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append(f"bundled ({path}): expected one section [[bundled]] for each container")
        return ()
    containers: list[BundledContainer] = []
    for number, entry in enumerate(entries, start=1):
        where = f"bundled[{number}]"
        problem = _entry_problem(entry)
        if problem:
            problems.append(f"{where}.{problem[0]} ({path}): {problem[1]}")
            continue
        container = BundledContainer(**entry)
        if any(other.name == container.name for other in containers):
            problems.append(f"{where}.name={container.name!r} ({path}): expected a name of its own")
        containers.append(container)
    return tuple(containers)


def _entry_problem(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return key and expectation of the first thing that is wrong with a `[[bundled]]` entry."""
    for key in entry:
        if key not in _BUNDLED_KEYS:
            return key, f"there is no such key{nearest(key, _BUNDLED_KEYS)}"
    name, factory = entry.get("name"), entry.get("factory")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "name", "expected up to 64 letters, digits, dots, dashes and underscores"
    if not isinstance(factory, str) or not _FACTORY.fullmatch(factory):
        return "factory", "expected where the container is made, such as 'my_module:container'"
    if not isinstance(entry.get("parameters", {}), dict):
        return "parameters", "expected a table such as { level = 3 }"
    return None
