"""`config show`: every setting, its value, and where that came from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from edge.cli.output import Output
from edge.cli.platform_arguments import load_platform_config, platform_arguments
from edge.config import PlatformConfig, environment, is_colour_wanted
from edge.model.json_value import JsonValue
from edge.settings import settings_of

# Keys of sections that are not ours to know whose values are not shown.
_SECRET_WORDS = ("secret", "password", "passwd", "pwd", "token", "key", "credential")
_HIDDEN = "(hidden)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `config show` takes: what `run` takes, to see what that would do."""
    platform_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(arguments: argparse.Namespace) -> None:
    """Show the settings that `run` would use."""
    config = load_platform_config(arguments)
    output = Output(arguments.json, is_colour_wanted(environment()))
    shown = settings_shown(config)
    if output.is_json:
        output.json(
            {
                "file": None if config.config_file is None else str(config.config_file),
                "settings": {name: {"value": value, "origin": origin} for name, value, origin in shown},
                "bundled": [_bundled(each.name, each.factory, each.parameters) for each in config.bundled],
                "bridge": hide_secrets(config.bridge),
                "warnings": list(config.warnings),
            }
        )
        return
    output.table(("SETTING", "VALUE", "ORIGIN"), [(name, _text(value), origin) for name, value, origin in shown])
    print()
    output.line(f"configuration file: {config.config_file or 'none'}")
    for each in config.bundled:
        parameters = "".join(f" {key}={_text(value)}" for key, value in hide_secrets(each.parameters).items())
        output.line(f"bundled: {each.name} from {each.factory}{parameters}")
    if not config.bundled:
        output.line("bundled: none")
    for key, value in hide_secrets(config.bridge).items():
        output.line(f"bridge.{key}: {_text(value)}")
    for warning in config.warnings:
        output.note(f"warning: {warning}")


def settings_shown(config: PlatformConfig) -> list[tuple[str, JsonValue, str]]:
    """Return name, value and origin of each setting; secrets are hidden."""
    shown: list[tuple[str, JsonValue, str]] = []
    for name, setting in settings_of(config).items():
        value = getattr(config, name)
        if setting.secret:
            value = None if value is None else _HIDDEN
        shown.append((setting.variable, _plain(value), config.origins.get(name, "default")))
    return shown


def hide_secrets(section: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return a section with everything hidden whose key speaks of a secret, at any depth."""
    hidden: dict[str, JsonValue] = {}
    for key, value in section.items():
        if any(word in key.lower() for word in _SECRET_WORDS):
            hidden[key] = _HIDDEN
        elif isinstance(value, Mapping):
            hidden[key] = hide_secrets(value)
        else:
            hidden[key] = _plain(value)
    return hidden


def _bundled(name: str, factory: str, parameters: Mapping[str, Any]) -> JsonValue:
    return {"name": name, "factory": factory, "parameters": hide_secrets(parameters)}


def _plain(value: Any) -> JsonValue:
    """Return a value as JSON has it."""
    if isinstance(value, StrEnum):
        return value.value.lower()
    if isinstance(value, tuple | list):
        return [hide_secrets(each) if isinstance(each, Mapping) else _plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _text(value: JsonValue) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
