"""Methods that cannot be offered: refused when the agent is made, naming the method and what to write."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.agents import Agent, action, stream

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTypeCheckers


def described(agent: Agent) -> dict[str, Any]:
    description: dict[str, Any] = msgspec.to_builtins(agent.describe())
    return description


class Base(Agent):
    """What the bad ones derive from."""


def bad(method: Any, decorator: Any = action) -> str:
    cls = type("Bad", (Base,), {method.__name__: decorator(method), "__module__": __name__})
    with pytest.raises(TypeError) as caught:
        cls()
    return str(caught.value)


def test_a_parameter_without_hint_is_refused_naming_it_and_what_to_write() -> None:
    async def set_level(self, level) -> None: ...  # type: ignore[no-untyped-def]

    text = bad(set_level)
    assert "Bad.set_level" in text
    assert "'level'" in text
    assert "`level: int`" in text


def test_a_hint_without_json_form_is_refused_naming_it_and_what_to_write() -> None:
    async def turn(self, by: complex) -> None: ...  # type: ignore[no-untyped-def]

    text = bad(turn)
    assert "Bad.turn" in text
    assert "'by'" in text
    assert "write str, int" in text


def test_a_result_without_json_form_is_refused() -> None:
    async def look(self) -> complex: ...  # type: ignore[no-untyped-def]

    assert "the result" in bad(look)


def test_a_hint_that_cannot_be_resolved_is_named() -> None:
    async def pay(self, amount: OnlyForTypeCheckers) -> None: ...  # type: ignore[no-untyped-def]

    text = bad(pay)
    assert "'OnlyForTypeCheckers'" in text
    assert "TYPE_CHECKING" in text


@pytest.mark.parametrize("source", ["*rest: int", "**more: int", "x: int, /"])
def test_parameters_that_callers_cannot_name_are_refused(source: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"async def do(self, {source}) -> None: ...", namespace)
    assert "cannot be offered" in bad(namespace["do"])


def test_auth_needs_a_login_token() -> None:
    async def read_mail(self, box: str) -> None: ...  # type: ignore[no-untyped-def]

    assert "login_token: str" in bad(read_mail, action(auth=True))


def test_the_login_token_is_not_listed() -> None:
    class Mail(Agent):
        @action(auth=True)
        async def read_mail(self, box: str, login_token: str) -> str:
            return box

    assert list(described(Mail())["actions"][0]["parameters"]) == ["box"]


def test_two_actions_of_one_name_are_refused() -> None:
    cls = type("Twice", (Base,), {"a_b": action(_nothing()), "a__b": action(_nothing()), "__module__": __name__})
    with pytest.raises(TypeError, match="already an action AB"):
        cls()


def _nothing() -> Any:
    async def nothing(self) -> None: ...  # type: ignore[no-untyped-def]

    return nothing


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a;b", "a%b", "..", "x..y", "a\nb", " ", "x" * 201, "\ud800"])
def test_names_that_no_path_can_carry_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="name"):
        type("Bad", (Base,), {"do": action(name=name)(_nothing()), "__module__": __name__})()
    with pytest.raises(ValueError, match="agent ID"):
        Agent(name)


def test_a_stream_without_mode_is_refused_when_it_is_decorated() -> None:
    with pytest.raises(TypeError, match=r'write @stream\(mode="GET"\)'):
        stream(_nothing())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'write @stream\(mode="GET"\)'):
        stream(name="Ticks")


def test_a_get_stream_takes_nothing() -> None:
    async def values(self, since: int) -> AsyncIterator[bytes]:  # type: ignore[no-untyped-def]
        yield b""

    assert "takes no parameters" in bad(values, stream(mode="GET"))


def test_a_post_stream_takes_one_parameter_of_a_known_kind() -> None:
    async def none(self) -> None: ...  # type: ignore[no-untyped-def]

    async def two(self, a: bytes, b: bytes) -> None: ...  # type: ignore[no-untyped-def]

    async def wrong(self, a: int) -> None: ...  # type: ignore[no-untyped-def]

    def piecewise(self, a: AsyncIterator[bytes]) -> None: ...  # type: ignore[no-untyped-def]

    for method in (none, two, wrong):
        assert "AsyncIterator[bytes] (piece by piece)" in bad(method, stream(mode="POST"))
    assert "write `async def`" in bad(piecewise, stream(mode="POST"))


def test_a_decorated_method_keeps_its_signature_through_functools_wraps() -> None:
    def logged(method: Any) -> Any:
        @functools.wraps(method)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await method(*args, **kwargs)

        return wrapper

    class Wrapped(Agent):
        @action
        @logged
        async def add(self, x: int) -> int:
            return x

    assert described(Wrapped())["actions"][0]["parameters"] == {"x": {"type": "integer", "required": True}}
