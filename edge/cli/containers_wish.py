"""The wish to start a container, from the words of a command line or a file, and waiting for its fulfilment."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from edge.cli.containers_known import offered_images, statuses
from edge.cli.containers_live import waiting
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output, counted
from edge.cli.platform import Platform
from edge.cli.values import parse_assignment
from edge.errors import CalleeError
from edge.launcher.base import ContainerState, ContainerStatus, OfferedImage
from edge.model.image_names import plain_image_name
from edge.model.json_value import JsonValue
from edge.settings import nearest

RESTARTS = ("always", "on-failure", "never")
# What the platform may take on top of the time that the container has.
_MARGIN_S = 30.0
_LONGEST_S = 3_660.0
_LOOK_S = 0.5


def wish_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `add` and `update` have in common."""
    parser.add_argument("image", metavar="IMAGE", nargs="?", help="name of an image; NAME:VERSION asks for a version")
    parser.add_argument("assignments", metavar="name=value", nargs="*", help="values of the image's parameters")
    parser.add_argument(
        "--file", metavar="FILE", help="the whole wish as JSON, as POST /containers takes it; - reads it"
    )
    parser.add_argument("--memory", metavar="MB", type=int, help="most memory, in MiB")
    parser.add_argument("--cpu", metavar="PERCENT", type=int, help="most computing time; 100 is one core")
    parser.add_argument("--restart", choices=RESTARTS, help="when it is started again after its end")
    parser.add_argument(
        "--timeout", metavar="S", type=int, default=-1, help="seconds until it must be ready (-1: the platform's)"
    )


def read_wish(arguments: argparse.Namespace) -> dict[str, JsonValue]:
    """Return the body of the request.

    Raises:
        Failed: words that do not go together.
    """
    words = (arguments.image, arguments.assignments, arguments.memory, arguments.cpu, arguments.restart)
    attach = getattr(arguments, "attach", None)
    if arguments.file is not None:
        if any(word not in (None, []) for word in (*words, attach)):
            raise Failed("--file holds the whole wish: give nothing besides it but --timeout", ExitCode.USAGE)
        return _from_file(arguments.file)
    if attach is not None:
        if any(word not in (None, []) for word in words[1:]):
            raise Failed("an attached container runs already: it takes no values and no limits", ExitCode.USAGE)
        return _attached(arguments)
    if getattr(arguments, "key", None) is not None or getattr(arguments, "push", False):
        raise Failed("--key and --push are for --attach", ExitCode.USAGE)
    if not arguments.image:
        raise Failed("name an image; opaca-edge images lists those of the platform", ExitCode.USAGE)
    given = (("memoryMb", arguments.memory), ("cpuPercent", arguments.cpu), ("restart", arguments.restart))
    config: dict[str, JsonValue] = {"type": "NATIVE"} | {name: value for name, value in given if value is not None}
    values: dict[str, JsonValue] = {**_values(arguments.assignments)}
    return {"image": {"imageName": arguments.image}, "arguments": values, "clientConfig": config}


def _from_file(name: str) -> dict[str, JsonValue]:
    from edge.cli.invoke import read_object

    return read_object("-" if name == "-" else f"@{name}")


def _attached(arguments: argparse.Namespace) -> dict[str, JsonValue]:
    if arguments.push and not arguments.image:
        raise Failed("a container that sleeps cannot be asked what it is: name its image", ExitCode.USAGE)
    config: dict[str, JsonValue] = {"type": "ATTACHED", "url": arguments.attach}
    if arguments.key is not None:
        config["key"] = arguments.key
    if arguments.push:
        config["push"] = True
    # What answers there says its own name; this one is only shown until then.
    return {"image": {"imageName": arguments.image or "attached"}, "clientConfig": config}


def _values(words: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        try:
            assignment = parse_assignment(word)
        except ValueError as error:
            raise Failed(str(error), ExitCode.USAGE) from error
        if assignment.key in values:
            raise Failed(f"{assignment.key}: given twice", ExitCode.USAGE)
        values[assignment.key] = assignment.text
    return values


async def check_values(platform: Platform, wish: dict[str, JsonValue]) -> None:
    """Refuse a value that the image has no parameter for, which a platform would drop without a word.

    Raises:
        Failed: the parameters that there are are named.
    """
    values, image = wish.get("arguments"), wish.get("image")
    name = image.get("imageName") if isinstance(image, dict) else None
    if not isinstance(values, dict) or not values or not isinstance(name, str):
        return
    try:
        offered = [each for each in await offered_images(platform) if each.name and _is_same(each.name, name)]
    except (Failed, CalleeError):
        return  # whoever starts it will say what is wrong
    known = {parameter.name for each in offered for parameter in each.parameters}
    if offered and (unknown := [key for key in values if key not in known]):
        hints = [f"{key}: image {name} has no such parameter{nearest(key, known)}" for key in unknown]
        raise Failed("\n".join([*hints, f"it takes {_parameters(offered[0])}"]), ExitCode.USAGE)


async def fulfil(platform: Platform, output: Output, method: str, wish: dict[str, JsonValue], timeout_s: int) -> None:
    """Send the wish, show that and what is waited for, and print the new container's ID."""
    import msgspec

    image = wish.get("image")
    name = str(image.get("imageName", "")) if isinstance(image, dict) else ""
    progress = _Progress(platform, name)
    query = (("timeout", str(timeout_s)),) if timeout_s > 0 else ()
    verb = "starting" if method == "POST" else "updating"
    try:
        async with (
            platform.patience(timeout_s + _MARGIN_S if timeout_s > 0 else _LONGEST_S),
            waiting(f"{verb} {name}", lambda: progress.text, progress.look),
        ):
            body = await platform.transport.request(method, "/containers", query, msgspec.json.encode(wish))
    except asyncio.CancelledError:
        output.note(f"the platform goes on {verb} {name}; opaca-edge containers shows how that ends")
        raise
    container_id = body.decode("utf-8", "replace").strip().strip('"')
    if output.is_json:
        output.json({"id": container_id})
    else:
        output.line(container_id)


class _Progress:
    """What is known of a container that is being started: nobody tells its ID before it is ready."""

    def __init__(self, platform: Platform, image_name: str) -> None:
        self._platform = platform
        self._image_name = plain_image_name(image_name)
        self.text = ""

    async def look(self) -> None:
        """Look at the state again and again, until cancelled."""
        before: set[str] | None = None
        while True:
            try:
                known = await statuses(self._platform)
            except (CalleeError, Failed):
                known = []  # the wish itself will say what is wrong
            before = {each.id for each in known if not _is_coming(each)} if before is None else before
            new = [each for each in known if each.id not in before and _is_same(each.image, self._image_name)]
            self.text = new[-1].state.value + (f": {new[-1].reason}" if new[-1].reason else "") if new else ""
            await asyncio.sleep(_LOOK_S)


def _is_coming(status: ContainerStatus) -> bool:
    return status.state is ContainerState.STARTING


def _is_same(name: str, other: str) -> bool:
    return plain_image_name(name) == plain_image_name(other)


def _parameters(image: OfferedImage) -> str:
    if not image.parameters:
        return "no parameters"
    names = ", ".join(each.name + ("" if each.required else "?") for each in image.parameters)
    return f"{counted(len(image.parameters), 'parameter')}: {names}"
