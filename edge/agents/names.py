"""Names that agents, actions and streams get when their author gives none, and what names may be."""

from __future__ import annotations

import re

# What can never stand in a path: the platform answers 400 to it (contract, section 1.2).
_UNREACHABLE = re.compile(r"[/\\;%?#\x00-\x1f\x7f]|\.\.|^\.$")
_LONGEST_NAME = 200


def pascal_case(method_name: str) -> str:
    """Return the action's name for a method's, as the PyPI package `opaca` forms it.

    >>> pascal_case("some_long_name2")
    'SomeLongName2'
    """
    return "".join(word.capitalize() for word in method_name.split("_"))


def default_agent_id(class_name: str) -> str:
    """Return the agent ID for a class whose author gave none.

    >>> default_agent_id("ClockAndTimer")
    'clock-and-timer'
    >>> default_agent_id("GPIOAgent2")
    'gpio-agent2'
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name.strip("_"))
    return words.replace("_", "-").lower() or "agent"


def check_name(kind: str, name: object) -> str:
    """Return a name that callers can put into a path.

    Raises:
        ValueError: it is empty, too long, or has a character that no request path may carry.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise ValueError(f"{kind} {name!r}: expected a text of 1 to {_LONGEST_NAME} characters")
    if found := _UNREACHABLE.search(name):
        raise ValueError(f"{kind} {name!r}: {found.group()!r} cannot stand in a request path; leave it out")
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{kind} {name!r}: lone surrogates cannot be written as UTF-8") from None
    return name
