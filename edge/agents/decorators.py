"""`@action` and `@stream` mark what an agent's class offers; names are those of the PyPI package `opaca`.

The method stays what it is: it can be called and tested like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from edge.model.descriptions import StreamMode

Method = TypeVar("Method", bound=Callable[..., Any])

_MARK = "__opaca_offer__"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator noted about a method.

    Attributes:
        mode: Of a stream; None for an action.
        name: As callers say it; None to form it from the method's name.
        description: None to take the docstring.
        auth: Whether callers must be logged in at the container.
    """

    mode: StreamMode | None
    name: str | None
    description: str | None
    auth: bool


@overload
def action(method: Method, /) -> Method: ...


@overload
def action(
    *, name: str | None = None, description: str | None = None, auth: bool = False
) -> Callable[[Method], Method]: ...


def action(
    method: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    auth: bool = False,
) -> Callable[..., Any]:
    """Offer a method as an action. Its hints become the parameters, its docstring the description.

    Args:
        method: Given when the decorator stands without brackets.
        name: What callers say; by default the method's name in PascalCase.
        description: What callers read; by default the docstring.
        auth: Only for users who are logged in at the container; the method takes `login_token: str`, which callers
            do not see.
    """
    mark = Mark(None, name or None, description or None, auth)
    if method is None:
        return lambda marked: _attach(marked, mark)
    _attach(method, mark)
    return method


def stream(
    method: None = None,
    /,
    *,
    mode: StreamMode | str = "",
    name: str | None = None,
    description: str | None = None,
    auth: bool = False,
) -> Callable[[Method], Method]:
    """Offer a method as a stream: `GET` streams yield bytes to a caller, `POST` streams take a caller's bytes.

    A GET method is an async generator (or a generator, or returns bytes, text or an iterable) and takes nothing; what
    it yields may be bytes, text, or any other value, which becomes one line of JSON. A POST method takes one parameter,
    `AsyncIterator[bytes]` for piece by piece or `bytes` for everything at once.

    Args:
        method: Nothing; the decorator stands with brackets.
        mode: `"GET"` or `"POST"`, always given.
        name: What callers say; by default the method's name in PascalCase.
        description: What callers read; by default the docstring.
        auth: Only for users who are logged in at the container; the method also takes `login_token: str`.
    Raises:
        TypeError: the decorator stands without brackets or without mode.
        ValueError: another mode.
    """
    if method is not None or not mode:
        raise TypeError('@stream needs to know who sends: write @stream(mode="GET") or @stream(mode="POST")')
    mark = Mark(StreamMode(mode), name or None, description or None, auth)
    return lambda method: _attach(method, mark)


def _attach(method: Any, mark: Mark) -> Any:
    # A static or class method passes attributes on to nobody, so the function under it carries the mark.
    setattr(getattr(method, "__func__", method), _MARK, mark)
    return method


def mark_of(method: object) -> Mark | None:
    """Return what a decorator noted about a method, None if it is not offered."""
    mark = getattr(getattr(method, "__func__", method), _MARK, None)
    return mark if isinstance(mark, Mark) else None
