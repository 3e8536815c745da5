"""`backup`: a copy of all that must survive, made while the platform runs."""

from __future__ import annotations

import argparse
import os
import sqlite3

from edge import __version__
from edge.cli.failures import Failed
from edge.cli.keeping import Bar, keeping_arguments, load_config, mib
from edge.cli.output import Output
from edge.config import environment, is_colour_wanted
from edge.model.json_value import JsonValue
from edge.state.archive import DATABASE
from edge.state.backup import Sources, back_up
from edge.state.swap import is_under_way


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `backup` takes."""
    keeping_arguments(parser)
    parser.add_argument("--no-images", action="store_true", help="leave the images of containers out")
    parser.add_argument("--force", action="store_true", help="replace an archive that is there")


def run(arguments: argparse.Namespace) -> None:
    """Write the archive."""
    output = Output(arguments.json, is_colour_wanted(environment()))
    config = load_config(arguments)
    target = arguments.file.absolute()
    if target.exists() and not (arguments.force and target.is_file()):
        raise Failed(f"{target} is there already: choose another name, or replace it with --force")
    if not os.access(config.state_dir / DATABASE, os.R_OK | os.W_OK):
        raise Failed(f"no state in {config.state_dir} that you can read: name the folder with --state-dir, or use sudo")
    if is_under_way(config.state_dir):
        raise Failed("a restore was interrupted and no platform was started since: start it, or restore again, first")
    if target.is_relative_to(config.state_dir) or target.is_relative_to(config.image_directory):
        raise Failed(f"{target} would become part of itself: choose another folder")
    sources = Sources(
        state=config.state_dir,
        images=None if arguments.no_images else config.image_directory,
        config=config.config_file,
    )
    bar = Bar("backup")
    try:
        copied = back_up(sources, target, {"version": __version__}, bar.show)
    except (OSError, sqlite3.Error) as error:
        raise Failed(f"no backup was made: {error}") from error
    finally:
        bar.end()
    if output.is_json:
        left_out: list[JsonValue] = [*copied.left_out]
        output.json(
            {
                "file": str(target),
                "files": copied.files,
                "bytes": copied.content_bytes,
                "archive_bytes": copied.archive_bytes,
                "left_out": left_out,
            }
        )
        return
    for each in copied.left_out:
        output.note(f"not in it: {each}")
    output.line(f"{target}: {copied.files} files, {mib(copied.content_bytes)}, as {mib(copied.archive_bytes)}")
    output.line("Whoever has it can act as this platform: keep it where only you can read it.")
