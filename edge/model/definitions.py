"""What a type name in a description stands for when it is not one of OPACA's own (contract, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.model.json_value import JsonValue


@dataclass(frozen=True, slots=True)
class DefinedValue:
    """A value that must be valid for a defined type.

    Attributes:
        type_name: The name in `definitions` or `definitionsByUrl`.
        value: The JSON value given.
        where: Which argument (and element) it is, for messages: `box`, `boxes[3]`.
    """

    type_name: str
    value: JsonValue
    where: str


class Definitions(Protocol):
    """The defined types of one container."""

    def __contains__(self, type_name: object) -> bool:
        """Tell whether values of this type name can be checked; all others accept anything."""

    async def mismatch(self, values: Sequence[DefinedValue]) -> str | None:
        """Return why the first value that does not fit its type does not, None if all fit; never raises."""


class NoDefinitions:
    """The definitions of a container that has none."""

    def __contains__(self, type_name: object) -> bool:
        return False

    async def mismatch(self, values: Sequence[DefinedValue]) -> str | None:
        return None
