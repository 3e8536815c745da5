"""What is known about an action or a stream before it is called, and how a call's arguments become the method's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from edge.agents.errors import describe_exception
from edge.agents.hints import Definition, Shape
from edge.errors import ParameterMismatch
from edge.model.descriptions import Action, Stream
from edge.model.json_value import JsonValue


@dataclass(frozen=True, slots=True)
class Argument:
    """How one parameter's argument is read.

    Attributes:
        required: Whether the call must give it.
        default: What a missing or null argument becomes; UNSET leaves it to the method.
    """

    name: str
    shape: Shape
    required: bool
    default: Any

    def read(self, value: JsonValue) -> Any:
        """Return the Python value of a JSON value.

        Raises:
            ParameterMismatch: the value does not fit the hint.
        """
        read = self.shape.read
        if read is None:
            return value
        try:
            return read(value)
        except Exception as error:  # noqa: BLE001 - the author's own classes are built here and may raise anything
            raise ParameterMismatch(misfit(self.name, error)) from None


def misfit(where: str, error: Exception) -> str:
    """Say that the value at `where` does not fit, for what building its Python value raised.

    >>> misfit("box", msgspec.ValidationError("Expected `int`, got `str` - at `$.sides[0]`"))
    'box.sides[0]: expected int, got str'
    """
    if not isinstance(error, msgspec.ValidationError):
        return f"{where}: {describe_exception(error)}"
    text, _, place = str(error).replace("`", "").partition(" - at $")
    return f"{where}{place}: {text[:1].lower()}{text[1:]}"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What is known about an action before it is called; shared by all agents of a class.

    Attributes:
        method_name: The attribute of the agent to call; empty if `callback` stands for it.
        callback: What to call for an action that was added to one agent.
        is_async: Whether calling it gives an awaitable; all others run in threads.
        arguments: By parameter name.
        required: How many of them every call must give.
    """

    name: str
    description: Action
    method_name: str
    callback: Callable[..., Any] | None
    is_async: bool
    auth: bool
    arguments: dict[str, Argument]
    required: int
    definitions: tuple[Definition, ...]

    def read(self, given: dict[str, JsonValue]) -> dict[str, Any]:
        """Return the keyword arguments of the method for the arguments of a call.

        Raises:
            ParameterMismatch: one is unknown, missing, or does not fit.
        """
        ready: dict[str, Any] = {}
        required = 0
        for name, value in given.items():
            argument = self.arguments.get(name)
            if argument is None:
                raise ParameterMismatch(f"{self.name} has no parameter {name!r}; it takes {self._parameter_names()}")
            required += argument.required
            if argument.shape.exact is type(value):
                ready[name] = value
            elif value is not None:
                ready[name] = argument.read(value)
            elif argument.shape.nullable:
                ready[name] = None
            elif argument.required or argument.shape.read is None:
                ready[name] = argument.read(value)
            # Else null stands for "not given" (contract, section 6).
        if required < self.required:
            missing = [a.name for a in self.arguments.values() if a.required and a.name not in given]
            raise ParameterMismatch(f"{self.name} needs {', '.join(map(repr, missing))}")
        if len(ready) < len(self.arguments):
            for argument in self.arguments.values():
                if argument.name not in ready and argument.default is not UNSET:
                    ready[argument.name] = argument.default
        return ready

    def _parameter_names(self) -> str:
        return ", ".join(self.arguments) or "none"


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What is known about a stream before it is opened; shared by all agents of a class.

    Attributes:
        parameter: The parameter that takes a POST stream's bytes.
        is_piecewise: Whether a POST method takes an async iterator instead of everything at once.
        as_text: Whether a POST method that takes everything wants text.
    """

    name: str
    description: Stream
    method_name: str
    callback: Callable[..., Any] | None
    is_async: bool
    auth: bool
    parameter: str = ""
    is_piecewise: bool = False
    as_text: bool = False
