"""What a class of agents offers: looked up once per class, shared by all its agents."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from edge.agents.decorators import Mark, mark_of
from edge.agents.names import check_name, pascal_case
from edge.agents.signature import BadSignature, action_spec, stream_spec
from edge.agents.specs import ActionSpec, StreamSpec
from edge.model.descriptions import Action, Stream

_CACHE = "__opaca_class_offers__"


@dataclass(frozen=True, slots=True)
class ClassOffers:
    """The actions and streams of a class, ready to be called and described.

    Attributes:
        description: The class's docstring.
        action_list: The descriptions of `actions`, shared by the descriptions of all agents.
    """

    description: str | None
    actions: dict[str, ActionSpec]
    streams: dict[str, StreamSpec]
    action_list: list[Action]
    stream_list: list[Stream]


def class_offers(cls: type) -> ClassOffers:
    """Return what a class offers, looking at its methods the first time only.

    Raises:
        BadSignature: a marked method cannot be offered; names it and what to write.
    """
    offers = cls.__dict__.get(_CACHE)
    if offers is None:
        offers = _read_class(cls)
        setattr(cls, _CACHE, offers)
    return cast(ClassOffers, offers)


def _read_class(cls: type) -> ClassOffers:
    actions: dict[str, ActionSpec] = {}
    streams: dict[str, StreamSpec] = {}
    for method_name, function, takes_self, mark in _marked(cls):
        where = f"{cls.__qualname__}.{method_name}"
        name = _name(where, mark.name or pascal_case(method_name))
        if mark.mode is None:
            if name in actions:
                raise BadSignature(f"{where}: there is already an action {name}")
            actions[name] = action_spec(
                function,
                where=where,
                name=name,
                description=mark.description,
                auth=mark.auth,
                method_name=method_name,
                takes_self=takes_self,
            )
        else:
            if name in streams:
                raise BadSignature(f"{where}: there is already a stream {name}")
            streams[name] = stream_spec(
                function,
                where=where,
                name=name,
                mode=mark.mode,
                description=mark.description,
                auth=mark.auth,
                method_name=method_name,
                takes_self=takes_self,
            )
    return gather_offers(actions, streams, _docstring(cls))


def gather_offers(
    actions: dict[str, ActionSpec], streams: dict[str, StreamSpec], description: str | None
) -> ClassOffers:
    """Put actions and streams together with what is derived from them."""
    return ClassOffers(
        description=description,
        actions=actions,
        streams=streams,
        action_list=[spec.description for spec in actions.values()],
        stream_list=[spec.description for spec in streams.values()],
    )


def _docstring(cls: type) -> str | None:
    # `inspect.getdoc` would take the text of `Agent` itself for a class without docstring.
    for base in cls.__mro__:
        if base.__module__.startswith("edge.agents."):
            return None
        if own := base.__dict__.get("__doc__"):
            return inspect.cleandoc(own)
    return None


def _name(where: str, name: str) -> str:
    try:
        return check_name("name", name)
    except ValueError as error:
        raise BadSignature(f"{where}: {error}") from None


def _marked(cls: type) -> Iterator[tuple[str, Callable[..., Any], bool, Mark]]:
    """Yield (name, function, whether it takes self or cls, mark), base classes first, in the order of the source."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, attribute in vars(base).items():
            if name in found or mark_of(attribute) is not None:
                found[name] = attribute
    for name, attribute in found.items():
        mark = mark_of(attribute)
        # An override without decorator is offered no longer.
        if mark is not None:
            function = getattr(attribute, "__func__", attribute)
            yield name, function, not isinstance(attribute, staticmethod), mark
