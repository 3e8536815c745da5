"""A method's signature in OPACA's words, and how the arguments of a call become its own."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from edge.agents.hints import WRITE_INSTEAD, Naming, Shape, names_like, shape_of
from edge.agents.results import NotJson, to_json
from edge.agents.specs import ActionSpec, Argument, StreamSpec
from edge.model.descriptions import Action, Parameter, Stream, StreamMode

LOGIN_TOKEN = "login_token"  # noqa: S105 - a parameter's name

_EMPTY = inspect.Parameter.empty
_PIECEWISE = (AsyncIterator, AsyncIterable, AsyncGenerator)


class BadSignature(TypeError):
    """A method that cannot be offered; names the class, the method and what to write."""


def action_spec(
    function: Callable[..., Any],
    *,
    where: str,
    name: str,
    description: str | None,
    auth: bool,
    method_name: str = "",
    takes_self: bool = False,
) -> ActionSpec:
    """Describe a callable as an action.

    Args:
        function: What is called, or the class's own function behind `method_name`.
        where: Names class and method in errors.
        takes_self: Whether the first parameter is the agent or its class.
    Raises:
        BadSignature: a parameter without a hint, or one that cannot be offered.
    """
    parameters, hints = _parameters(function, where, takes_self=takes_self, auth=auth)
    taken: dict[str, Any] = {}

    def naming(hint: Any, plain: str) -> str:
        return next(free for free in names_like(plain, hint) if taken.setdefault(free, hint) == hint)

    arguments = {}
    for parameter in parameters:
        shape = _shape(hints, parameter.name, f"{name}.{parameter.name}", where, naming)
        has_default = parameter.default is not _EMPTY
        arguments[parameter.name] = Argument(
            parameter.name,
            shape,
            required=not (has_default or shape.nullable),
            default=None if shape.nullable and not has_default else UNSET,
        )
    result = _result(hints, name, where, naming)
    if description is None:
        description = inspect.getdoc(function)
    shapes = [argument.shape for argument in arguments.values()] + ([result] if result else [])
    return ActionSpec(
        name=name,
        description=Action(
            name=name,
            description=description,
            parameters={
                p.name: _described(arguments[p.name].shape, arguments[p.name].required, p.default) for p in parameters
            },
            result=None if result is None else _described(result, not result.nullable, _EMPTY),
        ),
        method_name=method_name,
        callback=None if method_name else function,
        is_async=inspect.iscoroutinefunction(function),
        auth=auth,
        arguments=arguments,
        required=sum(argument.required for argument in arguments.values()),
        definitions=tuple(dict.fromkeys(d for shape in shapes for d in shape.definitions)),
    )


def declared_action_spec(
    callback: Callable[..., Any],
    *,
    name: str,
    description: str | None,
    auth: bool,
    parameters: Mapping[str, Parameter],
    result: Parameter | None,
) -> ActionSpec:
    """Describe a callable as an action whose parameters its author declares; it gets JSON values as they came."""
    arguments = {
        key: Argument(key, Shape(parameter.type), parameter.required, parameter.default_value)
        for key, parameter in parameters.items()
    }
    return ActionSpec(
        name=name,
        description=Action(name=name, description=description, parameters=dict(parameters), result=result),
        method_name="",
        callback=callback,
        is_async=inspect.iscoroutinefunction(callback),
        auth=auth,
        arguments=arguments,
        required=sum(argument.required for argument in arguments.values()),
        definitions=(),
    )


def stream_spec(
    function: Callable[..., Any],
    *,
    where: str,
    name: str,
    mode: StreamMode,
    description: str | None,
    auth: bool,
    method_name: str = "",
    takes_self: bool = False,
) -> StreamSpec:
    """Describe a callable as a stream; see `action_spec`.

    Raises:
        BadSignature: a GET method that takes parameters, or a POST method that does not take exactly one it can.
    """
    parameters, hints = _parameters(function, where, takes_self=takes_self, auth=auth)
    if description is None:
        description = inspect.getdoc(function)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    spec = StreamSpec(
        name=name,
        description=Stream(name=name, mode=mode, description=description),
        method_name=method_name,
        callback=None if method_name else function,
        is_async=is_async,
        auth=auth,
    )
    needed = [parameter for parameter in parameters if parameter.default is _EMPTY]
    if mode is StreamMode.GET:
        if needed:
            raise BadSignature(f"{where}: a GET stream takes no parameters, but {needed[0].name!r} has no default")
        return spec
    wanted = "a POST stream takes one parameter: AsyncIterator[bytes] (piece by piece), bytes, or str"
    if len(parameters) != 1:
        raise BadSignature(f"{where}: {wanted}")
    hint = hints[parameters[0].name]
    is_piecewise = (typing.get_origin(hint) or hint) in _PIECEWISE
    if not is_piecewise and hint not in (bytes, str):
        raise BadSignature(f"{where}: {wanted}; not {hint!r}")
    if is_piecewise and not is_async:
        raise BadSignature(f"{where}: only an `async def` method can take a stream piece by piece; write `async def`")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise BadSignature(f"{where}: a POST stream's method yields nothing; remove `yield` or use mode GET")
    return replace(spec, parameter=parameters[0].name, is_piecewise=is_piecewise, as_text=hint is str)


def _parameters(
    function: Callable[..., Any], where: str, *, takes_self: bool, auth: bool
) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    parameters = list(inspect.signature(function).parameters.values())[takes_self:]
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BadSignature(f"{where}: {str(parameter)!r} cannot be offered; name each parameter, without * and /")
        if parameter.annotation is _EMPTY:
            raise BadSignature(
                f"{where}: parameter {parameter.name!r} has no type hint; write for example "
                f"`{parameter.name}: int`. Possible: {WRITE_INSTEAD.removeprefix('write ')}"
            )
    hints = _hints(function, where)
    if auth:
        if hints.get(LOGIN_TOKEN) is not str:
            raise BadSignature(f"{where}: auth=True needs a parameter `{LOGIN_TOKEN}: str`")
        parameters = [parameter for parameter in parameters if parameter.name != LOGIN_TOKEN]
    return parameters, hints


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    enclosed = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            enclosed[name] = cell.cell_contents
        except ValueError:
            continue
    try:
        return typing.get_type_hints(function, localns=enclosed, include_extras=True)
    except NameError as error:
        raise BadSignature(
            f"{where}: a type hint names {error.name!r}, which is not known in its module; define or import it at the "
            "top of the module, not inside a function or under TYPE_CHECKING"
        ) from None


def _shape(hints: dict[str, Any], key: str, fallback_name: str, where: str, naming: Naming) -> Shape:
    try:
        return shape_of(hints[key], fallback_name, naming)
    except TypeError as error:
        subject = "the result" if key == "return" else f"parameter {key!r}"
        raise BadSignature(f"{where}: {subject}: {error}") from None


def _result(hints: dict[str, Any], name: str, where: str, naming: Naming) -> Shape | None:
    return _shape(hints, "return", f"{name}.result", where, naming) if "return" in hints else None


def _described(shape: Shape, required: bool, default: Any) -> Parameter:
    shown: Any = UNSET
    if default is not _EMPTY and default is not None:
        try:
            shown = to_json(default)
        except NotJson:
            # A default that callers cannot send (a sentinel object) is none of their business.
            shown = UNSET
    return Parameter(type=shape.type_name, required=required, default_value=shown, items=shape.items or UNSET)
