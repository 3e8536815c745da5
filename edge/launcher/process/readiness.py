"""Waiting for a started container to answer as itself (contract, section 8.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edge.errors import CalleeError, NotReady, OpacaError, Undecodable
from edge.launcher.process.exits import Exit
from edge.model.codec import decode, decode_value
from edge.model.descriptions import AgentContainer

log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[bytes]]

_FIRST_PAUSE_S = 0.03
_LONGEST_PAUSE_S = 0.5
# A container whose sync actions block its loop answers late; one that lost the question is asked again.
_ANSWER_LIMIT_S = 5.0
_SLOW_S = 0.2


class Died(Exception):
    """The process ended before it was ready."""

    def __init__(self, ended: Exit) -> None:
        super().__init__(ended.words)
        self.ended = ended


async def until_ready(
    ask: Ask, ended: asyncio.Future[Exit], container_id: str, limit_s: float, unknown_keys: set[str]
) -> AgentContainer:
    """Ask for `/info` until it answers with this container's ID.

    Args:
        ask: Returns the body of `/info`, or raises.
        ended: Done when the process has ended.
        container_id: Whose answer counts: another program may listen on that port.
        limit_s: Longest wait in seconds.
        unknown_keys: As for `read_info`.
    Raises:
        Died: the process has ended.
        NotReady: it did not answer in time, or not as containers do; the message says what it did instead.
    """
    waiting = _Waiting(ask, container_id, unknown_keys)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(waiting.until_answered(), name=f"readiness of container {container_id}")
        await asyncio.wait((asking, ended), timeout=max(0.0, limit_s), return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
    if ended.done():
        raise Died(ended.result())
    if asking.cancelled():
        raise NotReady(f"did not answer as it should within {limit_s:.1f} s: {waiting.obstacle}")
    answer = asking.result()
    if isinstance(answer, NotReady):
        raise answer
    return answer


class _Waiting:
    """Asks again and again; remembers what the last answer was worth."""

    def __init__(self, ask: Ask, container_id: str, unknown_keys: set[str]) -> None:
        self.obstacle = "GET /info had no answer"
        self._ask = ask
        self._container_id = container_id
        self._unknown_keys = unknown_keys

    async def until_answered(self) -> AgentContainer | NotReady:
        pause_s = _FIRST_PAUSE_S
        while True:
            body = await self._body()
            if body is not None:
                try:
                    reported = read_info(body, self._container_id, self._unknown_keys)
                except NotReady as error:
                    return error
                if reported is not None and reported.container_id == self._container_id:
                    return reported
                self.obstacle = (
                    "GET /info answered no JSON"
                    if reported is None
                    else f"GET /info answered as container {reported.container_id[:100]}"
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)

    async def _body(self) -> bytes | None:
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S):
                slow = asyncio.get_running_loop().call_later(_SLOW_S, self._say_slow)
                try:
                    return await self._ask()
                finally:
                    slow.cancel()
        except CalleeError as error:
            self.obstacle = error.message
        except TimeoutError:
            pass
        return None

    def _say_slow(self) -> None:
        self.obstacle = "GET /info had no answer"


def read_info(body: bytes, container_id: str, unknown_keys: set[str]) -> AgentContainer | None:
    """Return what a container says of itself; None if it is not JSON, so that it may be asked again.

    Args:
        body: What it answered.
        container_id: Whose answer it is, for the log.
        unknown_keys: Keys that no container should write and that were named in the log; new ones are added.
    Raises:
        NotReady: JSON, or nothing, that will never be a container's answer.
    """
    if body.strip():
        try:
            decode_value(body)
        except Undecodable:
            return None
    ignored: set[str] = set()
    try:
        reported = decode(body, AgentContainer, ignored)
    except OpacaError as error:
        raise NotReady(f"answered GET /info with what is no container description: {error.message}") from error
    if new := sorted(ignored - unknown_keys):
        unknown_keys.update(new)
        log.warning("container %s: its /info has unknown keys, left out: %s", container_id, ", ".join(new))
    return reported
