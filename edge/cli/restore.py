"""`restore`: put a backup in place of the state; what was there is kept."""

from __future__ import annotations

import argparse
import os

from edge.cli.failures import Failed
from edge.cli.keeping import Bar, keeping_arguments, load_config
from edge.cli.output import Output
from edge.cli.service_unit import NAME, STATE_DIR, UNIT
from edge.config import PlatformConfig, environment, is_colour_wanted
from edge.model.json_value import JsonValue
from edge.state.archive import BadArchive
from edge.state.lock import InUse
from edge.state.restore import Restored, restore
from edge.state.swap import NotFinished


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `restore` takes."""
    keeping_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Put it in place."""
    output = Output(arguments.json, is_colour_wanted(environment()))
    config = load_config(arguments)
    bar = Bar("restore")
    try:
        # Compressed bytes would be a better measure of the whole; of state, three times as much comes out.
        expected = arguments.file.stat().st_size * 3
        done = restore(
            arguments.file,
            config.state_dir.absolute(),
            config.image_directory.absolute(),
            owner=_owner(config),
            on_bytes=lambda written: bar.show(written, max(written, expected)),
        )
    except InUse as error:
        raise Failed(f"{config.state_dir}: {error} (a service: sudo systemctl stop {UNIT})") from error
    except NotFinished as error:
        raise Failed(f"{config.state_dir}: {error}") from error
    except BadArchive as error:
        raise Failed(f"{arguments.file} is not put in place: {error}") from error
    except OSError as error:
        raise Failed(f"nothing was put in place: {error}") from error
    finally:
        bar.end()
    _say(done, config, output)


def _owner(config: PlatformConfig) -> tuple[int, int] | None:
    """Return whose the state is to be, as user and group; None if only its own user may do this anyway."""
    if os.geteuid() != 0:
        return None
    if config.state_dir.exists():
        about = config.state_dir.stat()
        return about.st_uid, about.st_gid
    if config.state_dir == STATE_DIR:
        import pwd

        try:
            user = pwd.getpwnam(NAME)
        except KeyError:
            return None  # systemd gives it to the service's user at the first start
        return user.pw_uid, user.pw_gid
    return None


def _say(done: Restored, config: PlatformConfig, output: Output) -> None:
    if output.is_json:
        kept: dict[str, JsonValue] = {str(place): str(now) for place, now in done.kept.items()}
        output.json(
            {
                "state_dir": str(config.state_dir),
                "files": done.files,
                "made": done.about.get("made"),
                "kept": kept,
                "config": None if done.config is None else str(done.config),
            }
        )
        return
    output.line(f"{config.state_dir}: {done.files} files of {done.about.get('made', 'an unknown time')}")
    for place, now in done.kept.items():
        output.line(f"what was in {place} is in {now}")
    if done.config is not None:
        output.line(f"its configuration file: {done.config}; to use it: sudo cp {done.config} /etc/opaca-edge.toml")
