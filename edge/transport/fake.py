"""A scriptable `Transport` for tests of whatever calls containers and platforms."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from edge.errors import OpacaError, RemoteError
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions


@dataclass(frozen=True)
class FakeCall:
    """One call that was made.

    Attributes:
        method: `invoke`, `send`, `broadcast`, `get_stream`, `post_stream`, `login`, `logout` or `info`.
        name: The action, agent, channel or stream.
        content: The arguments, message, login or all bytes sent.
    """

    method: str
    name: str = ""
    agent_id: str | None = None
    content: Any = None
    options: CallOptions = NO_OPTIONS


# What a call gets: a value, an error to raise, or a function (sync or async) of the FakeCall that returns either.
Answer = Any


@dataclass
class FakeTransport:
    """Answers as told and remembers what it was asked.

        fake = FakeTransport("http://lamp:8082", invoke_answers={"SetLevel": True, "Break": RemoteError("boom")})
        fake.hold = asyncio.Event()   # calls wait until it is set

    Attributes:
        name: As messages show it.
        document: What `info` returns.
        invoke_answers: By action; an action without one is a RemoteError.
        stream_answers: By stream: the pieces; an error among them breaks the stream there.
        answers: By method (`send`, `login`, ...) for everything else.
        hold: If set to an event, every call waits for it.
        calls: What was asked, in order.
        open_streams: How many streams are being read.
        left_early: How many calls were cancelled while they waited.
    """

    name: str = "http://fake:8082"
    document: bytes = b"{}"
    invoke_answers: dict[str, Answer] = field(default_factory=dict)
    stream_answers: dict[str, Sequence[bytes | OpacaError]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    calls: list[FakeCall] = field(default_factory=list)
    open_streams: int = 0
    left_early: int = 0

    def called(self, method: str) -> list[FakeCall]:
        """Return the calls of one method, in order."""
        return [call for call in self.calls if call.method == method]

    async def info(self) -> bytes:
        """Return `document`, or what `answers["info"]` says."""
        answer = await self._answer(FakeCall("info"), self.answers.get("info", self.document))
        return bytes(answer)

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Answer by `invoke_answers`."""
        unknown = RemoteError(f"{self.name}: no answer is scripted for {action}")
        call = FakeCall("invoke", action, agent_id, arguments, options)
        return await self._answer(call, self.invoke_answers.get(action, unknown))

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Answer by `answers["send"]`."""
        await self._answer(FakeCall("send", agent_id, agent_id, message, options), self.answers.get("send"))

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Answer by `answers["broadcast"]`."""
        await self._answer(FakeCall("broadcast", channel, None, message, options), self.answers.get("broadcast"))

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield the pieces of `stream_answers`; an error in front of the first piece is raised on entering."""
        return self._reading(FakeCall("get_stream", stream, agent_id, None, options))

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Take all bytes, then answer by `answers["post_stream"]`."""
        content = b"".join([piece async for piece in pieces])
        call = FakeCall("post_stream", stream, agent_id, content, options)
        await self._answer(call, self.answers.get("post_stream"))

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Answer by `answers["login"]`, by default with the user's name."""
        answer = self.answers.get("login", f"token-of-{login.username}")
        return str(await self._answer(FakeCall("login", content=login, options=options), answer))

    async def logout(self, options: CallOptions) -> bool:
        """Answer by `answers["logout"]`, by default true."""
        return bool(await self._answer(FakeCall("logout", options=options), self.answers.get("logout", True)))

    @asynccontextmanager
    async def _reading(self, call: FakeCall) -> AsyncIterator[AsyncIterator[bytes]]:
        unknown = (RemoteError(f"{self.name}: no pieces are scripted for {call.name}"),)
        script = self.stream_answers.get(call.name, unknown)
        await self._answer(call, script[0] if script and isinstance(script[0], OpacaError) else None)
        self.open_streams += 1
        try:
            yield _pieces(script)
        finally:
            self.open_streams -= 1

    async def _answer(self, call: FakeCall, answer: Answer) -> Any:
        self.calls.append(call)
        try:
            if self.hold is not None:
                await self.hold.wait()
            if callable(answer):
                answer = answer(call)
                if inspect.isawaitable(answer):
                    answer = await answer
        except asyncio.CancelledError:
            self.left_early += 1
            raise
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def _pieces(script: Sequence[bytes | OpacaError]) -> AsyncIterator[bytes]:
    for piece in script:
        if isinstance(piece, OpacaError):
            raise piece
        yield piece
