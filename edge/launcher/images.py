"""The images of native processes: folders with a description and a command (design decision 14)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.errors import NotFound, OpacaError
from edge.launcher.base import OfferedImage, OfferedParameter
from edge.model.codec import decode
from edge.model.descriptions import AgentContainerImage
from edge.model.image_names import image_tag, plain_image_name, version_key

log = logging.getLogger(__name__)

STOP_GRACE_S = 3.0
START, PACKAGE = "start.toml", "package.json"
_MAX_DESCRIPTION_BYTES = 1024 * 1024
_MAX_START_BYTES = 64 * 1024
_MAX_FOLDERS = 1000


class Restart(IntEnum):
    """When a container that ended is started again; a smaller one asks less of the machine."""

    NEVER = 0
    ON_FAILURE = 1
    ALWAYS = 2

    @classmethod
    def named(cls, name: str) -> Restart:
        """Return the policy that `always`, `on-failure` or `never` means; ValueError for anything else."""
        for policy in cls:
            if policy.label == name:
                return policy
        raise ValueError(f"restart {name!r}: expected {', '.join(policy.label for policy in cls)}")

    @property
    def label(self) -> str:
        """The name that people write."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a container can be started from.

    Attributes:
        folder: Where it lies; the working directory of its containers.
        description: Its OPACA description.
        command: The program and its arguments.
        environment: Variables that its author sets.
        memory_mb: Most memory of all processes of a container together, in MiB; None for no limit.
        cpu_percent: Most computing time, 100 is one core; None for no limit.
        stop_grace_s: How long a container may take to end by itself, in seconds.
        exclusive: Whether two containers of it cannot run at once, not even during an update.
        restart: When a container is started again; None leaves it to the wish.
        kind: The file that says how to start it.
    """

    folder: Path
    description: AgentContainerImage
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int | None = None
    cpu_percent: int | None = None
    stop_grace_s: float = STOP_GRACE_S
    exclusive: bool = False
    restart: Restart | None = None
    kind: str = START

    @property
    def name(self) -> str:
        """Its name without tag."""
        return plain_image_name(self.description.image_name)

    @property
    def version(self) -> str | None:
        """What its description, else the tag in its name says."""
        return self.description.version or image_tag(self.description.image_name)


class ImageDirectory:
    """Finds images in the sub-folders of a folder; each look reads the files anew, so changes need no restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._complaints: dict[Path, str] = {}

    async def list(self) -> tuple[Image, ...]:
        """Return all usable images, by name, the highest version first; what is broken is named in the log."""
        images, complaints = await asyncio.to_thread(_read_all, self.path)
        for folder, complaint in complaints.items():
            if self._complaints.get(folder) != complaint:
                log.warning("the image folder %s cannot be used: %s", folder, complaint)
        self._complaints = complaints
        return images

    async def offered(self) -> Sequence[OfferedImage]:
        """Return what an operator is told of the folders: images as `list` has them, then what cannot be used."""
        images = await self.list()
        broken = [
            OfferedImage(folder=folder.name, kind=await asyncio.to_thread(_kind, folder), problem=complaint)
            for folder, complaint in self._complaints.items()
        ]
        return [*(_offered(image) for image in images), *broken]

    async def find(self, image_name: str) -> Image:
        """Return the image of a name: the version that its tag says, else the highest.

        Raises:
            NotFound: there is none; the message names what there is.
        """
        images = await self.list()
        name, tag = plain_image_name(image_name), image_tag(image_name)
        versions = [image for image in images if image.name == name]
        if not versions:
            raise NotFound(self._not_found(image_name, sorted({image.name for image in images})))
        tagged = [image for image in versions if tag is not None and tag.removeprefix("v") == _bare_version(image)]
        if tag is not None and not tagged and tag[:1].isdigit():
            log.warning("image %s: there is no version %s, version %s is used", name, tag, versions[0].version)
        return (tagged or versions)[0]

    def _not_found(self, image_name: str, names: Sequence[str]) -> str:
        import difflib  # needed for mistakes only

        near = difflib.get_close_matches(plain_image_name(image_name), names, cutoff=0.4) or [*names[:10]]
        broken = [folder.name for folder in self._complaints]
        parts = [f"there is no image {image_name} in {self.path}"]
        parts += [f"there is {', '.join(near)}"] if near else ["it holds no image"]
        parts += [f"cannot be used: {', '.join(sorted(broken)[:10])} (the log says why)"] if broken else []
        return "; ".join(parts)


def _offered(image: Image) -> OfferedImage:
    return OfferedImage(
        folder=image.folder.name,
        kind=image.kind,
        name=image.name,
        version=image.version,
        description=image.description.description,
        parameters=tuple(
            OfferedParameter(
                name=parameter.name,
                type=parameter.type,
                required=parameter.required,
                confidential=parameter.confidential,
                default=None if parameter.confidential else parameter.default_value,
            )
            for parameter in image.description.parameters
            if parameter.name is not None
        ),
    )


def _kind(folder: Path) -> str:
    is_package = not (folder / "image.json").exists() and (folder / "package.json").exists()
    return PACKAGE if is_package else START


def _bare_version(image: Image) -> str | None:
    return None if image.version is None else image.version.removeprefix("v")


def _read_all(path: Path) -> tuple[tuple[Image, ...], dict[Path, str]]:
    images: list[Image] = []
    complaints: dict[Path, str] = {}
    try:
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    except FileNotFoundError:
        return (), {}
    except OSError as error:
        return (), {path: str(error)}
    for folder in folders[:_MAX_FOLDERS]:
        try:
            images.append(read_image(folder))
        except BrokenImage as error:
            complaints[folder] = str(error)
    images.sort(key=lambda image: version_key(image.version), reverse=True)
    images.sort(key=lambda image: image.name)
    return tuple(images), complaints


class BrokenImage(Exception):
    """A folder holds no image that could run; the message says what is wrong with it."""


class _Start(Struct, forbid_unknown_fields=True, kw_only=True):
    """The file `start.toml`."""

    command: Annotated[list[str], Meta(min_length=1)]
    env: dict[str, str | int | float | bool] = {}
    memory_mb: Annotated[int, Meta(ge=1)] | None = None
    cpu_percent: Annotated[int, Meta(ge=1)] | None = None
    stop_grace_s: Annotated[float, Meta(ge=0, le=600)] = STOP_GRACE_S
    exclusive: bool = False
    restart: str | None = None


class _Package(Struct, kw_only=True):
    """What of `package.json` matters for a program that runs as it is."""

    name: str
    version: str | None = None
    description: str | None = None
    main: str | None = None
    dependencies: dict[str, str] = {}


def read_image(folder: Path) -> Image:
    """Return the image in a folder; blocks while it reads.

    Raises:
        BrokenImage: it holds none, or one that cannot be understood.
    """
    if _kind(folder) == PACKAGE:
        return _read_package(folder)
    start = _read_start(folder)
    ignored: set[str] = set()
    try:
        description = decode(_read(folder / "image.json", _MAX_DESCRIPTION_BYTES), AgentContainerImage, ignored)
    except OpacaError as error:
        raise BrokenImage(f"image.json: {error.message}") from error
    if not plain_image_name(description.image_name):
        raise BrokenImage("image.json: imageName is empty")
    try:
        restart = None if start.restart is None else Restart.named(start.restart)
    except ValueError as error:
        raise BrokenImage(f"start.toml: {error}") from error
    return Image(
        folder=folder,
        description=description,
        command=_checked(start.command, "start.toml: command"),
        environment={name: _text(value) for name, value in start.env.items()},
        memory_mb=start.memory_mb,
        cpu_percent=start.cpu_percent,
        stop_grace_s=start.stop_grace_s,
        exclusive=start.exclusive,
        restart=restart,
    )


def _read_start(folder: Path) -> _Start:
    import tomllib  # only where there are images

    try:
        values = tomllib.loads(_read(folder / "start.toml", _MAX_START_BYTES).decode())
        start = msgspec.convert(values, _Start)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BrokenImage(f"start.toml: {error}") from error
    for name, value in start.env.items():
        if not name or "=" in name or "\0" in name + _text(value):
            raise BrokenImage(f"start.toml: env {name!r} can be no variable")
    return start


def _read_package(folder: Path) -> Image:
    try:
        package = msgspec.json.decode(_read(folder / "package.json", _MAX_DESCRIPTION_BYTES), type=_Package)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenImage(f"package.json: {error}") from error
    if not package.name or not package.main:
        raise BrokenImage("package.json: expected a name and a main, or an image.json beside it")
    program = {".js": "node", ".mjs": "node", ".cjs": "node", ".py": "python"}.get(Path(package.main).suffix)
    if program is None:
        raise BrokenImage(f"package.json: main {package.main!r} is neither .js nor .py; an image.json may say more")
    prepared = folder / ("node_modules" if program == "node" else ".venv")
    has_needs = bool(package.dependencies) or (program == "python" and (folder / "requirements.txt").exists())
    if has_needs and not prepared.exists():
        raise BrokenImage(f"package.json: its dependencies must be prepared first ({prepared.name} is missing)")
    return Image(
        folder=folder,
        description=AgentContainerImage(
            image_name=package.name, name=package.name, version=package.version, description=package.description
        ),
        command=_checked([program, package.main], "package.json: main"),
        kind=PACKAGE,
    )


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except FileNotFoundError:
        raise BrokenImage(f"there is no {path.name}") from None
    except OSError as error:
        raise BrokenImage(f"{path.name}: {error.strerror or error}") from error
    if len(content) > limit_bytes:
        raise BrokenImage(f"{path.name} is larger than {limit_bytes} bytes")
    return content


def _checked(command: list[str], what: str) -> tuple[str, ...]:
    if not command[0] or any("\0" in word for word in command):
        raise BrokenImage(f"{what} {command!r} can be no program")
    return tuple(command)


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
