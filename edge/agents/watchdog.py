"""Names the agent that blocks the event loop, with its stack, while it does so.

The loop's selector notes when it hands control to callbacks; a thread looks at that note twice a second.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import time
import traceback
from collections import deque
from types import FrameType, TracebackType

from edge.agents.agent import Agent
from edge.agents.tasks import Owner

log = logging.getLogger("edge.agents.watchdog")

_LOOK_S = 0.5
_DEEPEST_STACK = 40
_CALLERS = frozenset(("edge.agents.calls", "edge.agents.streams", "edge.agents.tasks"))


class _MarkingSelector(selectors.DefaultSelector):
    """Notes since when callbacks run.

    Attributes:
        busy_since_s: Monotonic; 0.0 while the loop waits.
        limit_s: A longer run of callbacks is a block.
        blocks: What were blocks: when each began, and for how many seconds it lasted.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__()
        self.limit_s = limit_s
        self.busy_since_s = 0.0
        self.blocks: deque[tuple[float, float]] = deque(maxlen=100)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began_s = self.busy_since_s
        if began_s and (lasted_s := time.monotonic() - began_s) > self.limit_s:
            self.blocks.append((began_s, lasted_s))
        self.busy_since_s = 0.0
        ready = super().select(timeout)
        self.busy_since_s = time.monotonic()
        return ready


class WatchedLoop(asyncio.SelectorEventLoop):
    """An event loop that `Watchdog` can watch."""

    def __init__(self, limit_s: float = 1.0) -> None:
        self.marks = _MarkingSelector(limit_s)
        super().__init__(self.marks)


def watched_loop() -> WatchedLoop:
    """Make a loop for `asyncio.Runner(loop_factory=watched_loop)`."""
    return WatchedLoop()


class Watchdog:
    """Logs what blocks the running loop: an error while it lasts, and how long it was when it ends.

    An async context manager. On a loop other than `WatchedLoop` it does nothing.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Watchdog:
        loop = asyncio.get_running_loop()
        if isinstance(loop, WatchedLoop):
            arguments = (loop.marks, threading.get_ident())
            self._thread = threading.Thread(target=self._watch, args=arguments, name="watchdog", daemon=True)
            self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not joined: it may be writing to the log, and it ends by itself.
        self._stop.set()

    def _watch(self, marks: _MarkingSelector, thread_id: int) -> None:
        reported_s = 0.0
        pause_s = _LOOK_S
        while not self._stop.wait(pause_s):
            while marks.blocks:
                began_s, lasted_s = marks.blocks.popleft()
                seen = "" if began_s == reported_s else "; no Python code could look at it while it lasted"
                log.error("the event loop was blocked for %.1f s%s", lasted_s, seen)
            since_s = marks.busy_since_s
            pause_s = _LOOK_S
            if since_s and since_s != reported_s:
                over_s = time.monotonic() - since_s - marks.limit_s
                if over_s < 0:
                    # Looked at again when the limit is reached, so that no block escapes between two looks.
                    pause_s = min(_LOOK_S, -over_s + 0.01)
                elif _report(sys._current_frames().get(thread_id), marks.limit_s):
                    reported_s = since_s


def _report(innermost: FrameType | None, limit_s: float) -> bool:
    if innermost is None:
        return False
    who = ""
    depth = 0
    for frame, _ in traceback.walk_stack(innermost):
        who = who or _agent_of(frame)
        if whose := _called_for(frame):
            # What is further out is the platform's own code.
            who = who or whose
            break
        depth += 1
    stack = "".join(traceback.format_stack(innermost, limit=min(depth, _DEEPEST_STACK)))
    who = who or "what is no agent's method"
    log.error("the event loop is blocked for more than %g s by %s:\n%s", limit_s, who, stack)
    return True


def _agent_of(frame: FrameType) -> str:
    """Name the agent whose method a frame is; empty if it is none."""
    agent = frame.f_locals.get("self")
    if not isinstance(agent, Agent):
        return ""
    return f"agent {agent.agent_id} ({type(agent).__qualname__}.{frame.f_code.co_name})"


def _called_for(frame: FrameType) -> str:
    """Name the agent for which our own code (`Calls.method`, `_contained`) called something; empty if it did not."""
    if frame.f_globals.get("__name__") not in _CALLERS:
        return ""
    if isinstance(agent := frame.f_locals.get("agent"), Agent):
        return f"agent {agent.agent_id} ({type(agent).__qualname__})"
    if isinstance(owner := frame.f_locals.get("owner"), Owner):
        return f"a task of agent {owner.agent_id}"
    return ""
