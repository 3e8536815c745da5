"""The definitions of a container of ours: schemas for callers, and exact checks by the Python types themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET, UnsetType

from edge.agents.hints import Reader, json_schema, names_like, reader
from edge.agents.offers import ClassOffers, gather_offers
from edge.agents.specs import ActionSpec, misfit
from edge.model.definitions import DefinedValue
from edge.model.descriptions import Action, ArrayItems, Parameter
from edge.model.json_value import JsonValue


class TypeDefinitions:
    """The types that the agents of one container use, each under a name of its own; a `Definitions` for the runtime."""

    def __init__(self) -> None:
        self._hints: dict[str, Any] = {}
        self._readers: dict[str, Reader] = {}
        self._settled: dict[int, tuple[ClassOffers, ClassOffers]] = {}

    def __contains__(self, type_name: object) -> bool:
        return type_name in self._readers

    async def mismatch(self, values: Sequence[DefinedValue]) -> str | None:
        """Return why the first value that does not fit its type does not, None if all fit."""
        for value in values:
            if read := self._readers.get(value.type_name):
                try:
                    read(value.value)
                except Exception as error:  # noqa: BLE001 - builds the author's own classes, which may raise anything
                    return misfit(value.where, error)
        return None

    def schemas(self) -> dict[str, JsonValue]:
        """Return the JSON Schema of each definition by name."""
        return {name: json_schema(hint) for name, hint in self._hints.items()}

    def settle(self, offers: ClassOffers, *, is_shared: bool) -> ClassOffers:
        """Take in the types that the actions name; return the offers with other names where two types had the same.

        Args:
            is_shared: Whether they are a whole class's, so that the answer is worth keeping.
        """
        if known := self._settled.get(id(offers)):
            return known[1]
        actions = {name: self.settle_action(spec) for name, spec in offers.actions.items()}
        if all(actions[name] is spec for name, spec in offers.actions.items()):
            settled = offers
        else:
            settled = gather_offers(actions, offers.streams, offers.description)
        if is_shared:
            # The offers are kept beside the result, so that no other object gets their id.
            self._settled[id(offers)] = offers, settled
        return settled

    def settle_action(self, spec: ActionSpec) -> ActionSpec:
        """Take in the types that an action names; return it with other names where they were taken."""
        other_names = {}
        for definition in spec.definitions:
            candidates = names_like(definition.name, definition.hint)
            name = next(free for free in candidates if self._hints.setdefault(free, definition.hint) == definition.hint)
            self._readers.setdefault(name, reader(definition.hint))
            if name != definition.name:
                other_names[definition.name] = name
        if not other_names:
            return spec
        return replace(spec, description=_renamed_action(spec.description, other_names))


def _renamed_action(action: Action, names: Mapping[str, str]) -> Action:
    parameters = {name: _renamed_parameter(parameter, names) for name, parameter in action.parameters.items()}
    result = action.result and _renamed_parameter(action.result, names)
    return Action(name=action.name, description=action.description, parameters=parameters, result=result)


def _renamed_parameter(parameter: Parameter, names: Mapping[str, str]) -> Parameter:
    return Parameter(
        type=names.get(parameter.type, parameter.type),
        required=parameter.required,
        default_value=parameter.default_value,
        items=_renamed_items(parameter.items, names),
    )


def _renamed_items(items: ArrayItems | UnsetType | None, names: Mapping[str, str]) -> ArrayItems | UnsetType:
    if not items:
        return UNSET
    return ArrayItems(type=names.get(items.type, items.type), items=_renamed_items(items.items, names))
