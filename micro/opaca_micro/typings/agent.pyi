from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Parameter = str | Mapping[str, Any]

class Failed(Exception): ...

class Agent:
    agent_id: str
    description: str
    agent_type: str
    actions: list[tuple[str, Callable[..., Any], str, Mapping[str, _Parameter], _Parameter | None]]
    streams: list[tuple[str, Callable[..., Any], str, str]]
    channels: list[tuple[str, Callable[[Any, str], Any]]]
    on_message: Callable[[Any, str], Any] | None
    on_login: Callable[[str | None, str | None], str | None | Awaitable[str | None]] | None
    on_change: Callable[[], None] | None
    def __init__(self, agent_id: str, description: str = "", agent_type: str | None = None) -> None: ...
    def action(
        self,
        name: str,
        parameters: Mapping[str, _Parameter] | None = None,
        result: _Parameter | None = None,
        description: str = "",
    ) -> Callable[[_Function], _Function]: ...
    def stream(self, name: str, description: str = "", mode: str = "GET") -> Callable[[_Function], _Function]: ...
    def message(self, function: _Function) -> _Function: ...
    def channel(self, name: str) -> Callable[[_Function], _Function]: ...
    def login(self, function: _Function) -> _Function: ...
    def remove(self, name: str) -> None: ...
    def changed(self) -> None: ...
