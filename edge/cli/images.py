"""`images`: what containers can be started from."""

from __future__ import annotations

import argparse

from edge.cli.containers_known import offered_images
from edge.cli.failures import Failed
from edge.cli.output import Output, text_of
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.launcher.base import OfferedImage, OfferedParameter
from edge.model.image_names import plain_image_name
from edge.model.json_value import JsonValue
from edge.settings import nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `images` takes."""
    parser.add_argument("image", metavar="NAME", nargs="?", help="one image or folder only")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List the images, broken ones with what is wrong."""

    async def work(platform: Platform, output: Output) -> None:
        offered = await offered_images(platform)
        if arguments.image is not None:
            offered = _chosen(offered, arguments.image)
        if output.is_json:
            import msgspec

            converted: JsonValue = msgspec.to_builtins(offered)
            output.json(converted)
        elif offered:
            output.table(("IMAGE", "VERSION", "FOLDER", "TAKES", "DESCRIPTION"), [_row(image) for image in offered])
        else:
            output.note("no images; docs/containers.md tells how to make one")

    call_platform(arguments, work)


def _chosen(offered: list[OfferedImage], name: str) -> list[OfferedImage]:
    plain = plain_image_name(name)
    chosen = [each for each in offered if each.folder == name or (each.name and plain_image_name(each.name) == plain)]
    if not chosen:
        known = [known for each in offered for known in (each.name, each.folder) if known]
        raise Failed(f"there is no image {name!r}{nearest(name, known)}; opaca-edge images lists them")
    return chosen


def _row(image: OfferedImage) -> tuple[str, ...]:
    takes = ", ".join(_parameter(each) for each in image.parameters)
    about = f"CANNOT BE USED: {image.problem}" if image.problem is not None else text_of(image.description)
    return text_of(image.name), text_of(image.version), image.folder, takes, about.partition("\n")[0]


def _parameter(parameter: OfferedParameter) -> str:
    if parameter.required:
        return parameter.name
    return f"[{parameter.name}={parameter.default}]" if parameter.default else f"[{parameter.name}]"
