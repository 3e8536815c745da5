"""The settings of a board, `opaca.json`: what is asked for, what stands there already, and where it is written."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from edge.cli.boards_address import Address
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output, json_text
from edge.model.json_value import JsonValue

Settings: TypeAlias = dict[str, JsonValue]

# What a Wi-Fi allows (IEEE 802.11, WPA): bytes.
_SSID_BYTES = range(1, 33)
_PASSWORD_BYTES = range(8, 65)


def settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verbs that make settings have in common."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path,
        help="write the settings there, for nobody else to read; what else stands in the file stays",
    )  # fmt: skip
    parser.add_argument(
        "--platform", metavar="URL", help="where the board reaches the platform (else worked out: NAME.local, address)"
    )
    parser.add_argument(
        "--wifi-file", metavar="FILE", help="two lines: name and password of the Wi-Fi; - reads them (else asked for)"
    )
    parser.add_argument("--no-wifi", action="store_true", help="ask for no Wi-Fi")


class SettingsFile:
    """The file that settings go to, if they go to one.

    Args:
        path: None prints them.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.before: Settings = {} if path is None else _read(path)
        self._unfinished: Path | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make sure that it can be written before anything is changed that cannot be taken back.

        Raises:
            Failed: it cannot be written.
        """
        if self.path is None:
            yield
            return
        unfinished = self.path.with_name(f".{self.path.name}.new")
        try:
            unfinished.unlink(missing_ok=True)
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror}", ExitCode.USAGE) from error
        self._unfinished = unfinished
        try:
            yield
        finally:
            unfinished.unlink(missing_ok=True)

    def write(self, settings: Settings) -> None:
        """Put the settings in the file's place; only while it is `opened`.

        Raises:
            Failed: the disk is full.
        """
        assert self.path is not None and self._unfinished is not None
        try:
            self._unfinished.write_text(json_text(settings) + "\n", "utf-8")
            self._unfinished.replace(self.path)
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror}") from error


def ask_wifi(arguments: argparse.Namespace, before: Settings, *, is_asked: bool) -> Settings | None:
    """Return the Wi-Fi that is given, None if there is none.

    Args:
        before: What stands in the file already.
        is_asked: Whether to ask where somebody can answer.
    Raises:
        Failed: no Wi-Fi is called so, or has such a password.
    """
    if arguments.wifi_file is not None:
        return _wifi(_lines(arguments.wifi_file))
    if not is_asked or arguments.no_wifi or "wifi" in before or not sys.stdin.isatty():
        return None
    from getpass import getpass

    # Not as the prompt of input(): that goes to the standard output, which may become the file.
    print("Wi-Fi (empty for none): ", end="", file=sys.stderr, flush=True)
    try:
        ssid = input()
        return _wifi([ssid, getpass(f"Password of {ssid} (empty if it has none): ")]) if ssid else None
    except EOFError:
        raise Failed("no Wi-Fi was given; --no-wifi asks for none", ExitCode.USAGE) from None


def settings_of(name: str, address: str, user: str, token: str, wifi: Settings | None, before: Settings) -> Settings:
    """Return the settings of a board.

    Args:
        user: As whom it attaches; empty if it needs no token.
        before: What stood in the file; of that stays what is not decided here.
    """
    settings: Settings = {"name": name, "platform": address}
    if user:
        settings |= {"user": user, "token": token}
    if wifi is not None:
        settings["wifi"] = wifi
    stale = {"user", "token", "password"}
    return settings | {key: value for key, value in before.items() if key not in settings.keys() | stale}


def hand_over(
    output: Output, file: SettingsFile, settings: Settings, address: Address, said: str, facts: Settings
) -> None:
    """Write or print settings, and what to do with them.

    Args:
        said: What was done, as a sentence.
        facts: The same for scripts.
    """
    if file.path is not None:
        file.write(settings)
    if output.is_json:
        where: Settings = {"settings": settings} if file.path is None else {"file": str(file.path)}
        output.json({**facts, "platform": settings["platform"], "other_addresses": [*address.others], **where})
    elif file.path is None:
        output.json(settings)
        output.note(said)
    else:
        output.line(said)
        output.line(f"its settings are in {file.path}; put them on the board: mpremote cp {file.path} :opaca.json")
    if address.warning:
        output.note(f"warning: {address.warning}")
    if address.others:
        output.note(f"it looks for the platform at {settings['platform']}; if it does not find it, {address.others[0]}")
    if "wifi" not in settings and "url" not in settings:
        output.note("there is no Wi-Fi in them: add one with --wifi-file FILE, or the board's own url")


def _read(path: Path) -> Settings:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE) from error
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failed(f"{path} holds no settings of a board, and is left alone: name another file", ExitCode.USAGE)
    return found


def _lines(name: str) -> list[str]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"--wifi-file {name}: {error}", ExitCode.USAGE) from error
    lines = text.splitlines()
    if not 1 <= len(lines) <= 2:
        raise Failed(f"--wifi-file {name}: expected two lines, name and password of the Wi-Fi", ExitCode.USAGE)
    return [*lines, ""][:2]


def _wifi(lines: list[str]) -> Settings:
    ssid, password = lines
    if len(ssid.encode()) not in _SSID_BYTES:
        raise Failed("the name of a Wi-Fi has 1 to 32 bytes", ExitCode.USAGE)
    if not password:
        return {"ssid": ssid}
    if len(password.encode()) not in _PASSWORD_BYTES:
        raise Failed("the password of a Wi-Fi has 8 to 64 bytes; an empty line is an open one", ExitCode.USAGE)
    return {"ssid": ssid, "password": password}
