"""The defined types of containers: JSON Schemas by strangers that arguments are held against (contract, section 6).

A definition that cannot be used accepts everything and is named once in the log ([Q11]). Checks run in a few threads
under a time limit, at most one per container, so that no schema and no value can hold up the loop or another container.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edge.model.definitions import DefinedValue, Definitions, NoDefinitions
from edge.model.descriptions import AgentContainerImage
from edge.model.json_value import JsonValue
from edge.runtime.schema_documents import Fetch, SchemaDocuments, is_loadable

if TYPE_CHECKING:
    from edge.runtime.schema_check import SchemaCheck

log = logging.getLogger(__name__)

_NO_DEFINITIONS = NoDefinitions()

_CHECK_LIMIT_S = 1.0
_COMPILE_LIMIT_S = 5.0
_THREADS = 2
_WAITING_PER_CONTAINER = 256
_WAIT_LIMIT_S = 5.0
# A schema that needs too long for small values so often in a row is not asked again.
_MOST_STRIKES = 3
_SMALL_NODES = 2_000


class Schemas:
    """What the definitions of all containers share: the threads that check and the schemas loaded by URL.

    An async context manager; leaving it waits for checks that still run, which is at most their time limit.

    Args:
        fetch: Loads a URL; without it, `definitionsByUrl` accept anything.
        check_limit_s: Longest time for all values of one call together, in seconds.
    """

    def __init__(self, fetch: Fetch | None = None, *, check_limit_s: float = _CHECK_LIMIT_S) -> None:
        self.check_limit_s = check_limit_s
        self.documents = SchemaDocuments(fetch)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="schema")
        self._free = asyncio.Semaphore(_THREADS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def run(self) -> None:
        """Load the schemas that containers name by URL, until cancelled."""
        await self.documents.run()

    def of(self, container: str, image: AgentContainerImage) -> Definitions:
        """Return the definitions of a container's image; make them anew when its description changes.

        Args:
            container: Names it in the log.
        """
        if not image.definitions and not image.definitions_by_url:
            return _NO_DEFINITIONS
        return SchemaDefinitions(container, image.definitions, image.definitions_by_url, self)

    async def in_thread(self, check: Callable[[], str | None], turn: asyncio.Lock) -> str | None:
        """Run a check, which ends by itself, in a thread once it is the container's turn and a thread is free.

        Turn and thread count as taken until the check has ended, also where its caller has left long before.
        """
        await turn.acquire()
        try:
            await self._free.acquire()
        except BaseException:
            turn.release()
            raise
        try:
            job = asyncio.wrap_future(self._threads.submit(check))
        except BaseException:
            self._release(turn)
            raise
        job.add_done_callback(lambda _: self._release(turn))
        return await asyncio.shield(job)

    def _release(self, turn: asyncio.Lock) -> None:
        self._free.release()
        turn.release()


class SchemaDefinitions:
    """The definitions of one container.

    Attributes:
        unchecked: How many calls were let through because too many checks were waiting.
    """

    def __init__(
        self, container: str, definitions: dict[str, JsonValue], definitions_by_url: dict[str, str], shared: Schemas
    ) -> None:
        self.unchecked = 0
        self._container = container
        self._definitions = definitions
        self._urls: dict[str, str] = {}
        self._shared = shared
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._checks: dict[str, SchemaCheck | None] = {}
        self._compiled_with = shared.documents.loaded
        self._strikes: dict[str, int] = {}
        self._told: set[str] = set()
        for name, url in definitions_by_url.items():
            if is_loadable(url.removesuffix("#")):
                self._urls[name] = url.removesuffix("#")
            else:
                self._tell(name, f"{url[:200]!r} is no absolute http or https URL")
        if self._urls:
            shared.documents.want(self, self._urls.values())

    def __contains__(self, type_name: object) -> bool:
        """Tell whether values of this type can be checked now; a type by URL only once its schema is loaded."""
        if type_name not in self._definitions and self._urls.get(str(type_name)) not in self._shared.documents.loaded:
            return False
        return self._checks.get(str(type_name), True) is not None

    async def mismatch(self, values: Sequence[DefinedValue]) -> str | None:
        """Return why the first value that does not fit its type does not; None if all fit or could not be checked."""
        if self._waiting >= _WAITING_PER_CONTAINER:
            self._let_through()
            return None
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT_LIMIT_S):
                return await self._shared.in_thread(lambda: self._mismatch(values), self._turn)
        except TimeoutError:
            self._let_through()
            return None
        finally:
            self._waiting -= 1

    def _let_through(self) -> None:
        self.unchecked += 1
        if self.unchecked == 1:
            log.warning("container %s: too many checks of arguments are waiting; some are left out", self._container)

    def _mismatch(self, values: Sequence[DefinedValue]) -> str | None:
        """Check values one after the other; runs in a thread, never raises."""
        # Imported late, and here: jsonschema and regex take memory and 0.1 s.
        from edge.runtime.schema_check import TooLargeToCheck
        from edge.runtime.schema_keywords import TookTooLong, time_limit

        left_s = self._shared.check_limit_s
        for defined in values:
            check = self._check(defined.type_name)
            if check is None:
                continue
            started_s = time.monotonic()
            try:
                with time_limit(left_s):
                    reason = check.mismatch(defined.value)
            except TookTooLong:
                self._took_too_long(defined)
                return None
            except TooLargeToCheck:
                self._tell(defined.type_name, "a value was too large to be checked and was accepted")
                continue
            except Exception as error:  # noqa: BLE001 - a stranger's schema may fail in any way, and only its type may suffer
                self._tell(defined.type_name, f"it could not check a value: {type(error).__name__}: {error}")
                continue
            if reason is not None:
                return f"parameter {defined.where}{reason} (type {defined.type_name})"
            self._strikes.pop(defined.type_name, None)
            left_s -= time.monotonic() - started_s
        return None

    def _check(self, type_name: str) -> SchemaCheck | None:
        """Return what checks a type, made on its first use; None for one that is broken. Runs in a thread."""
        from edge.runtime.schema_check import compile_schema
        from edge.runtime.schema_keywords import time_limit

        loaded = self._shared.documents.loaded
        if self._urls and loaded is not self._compiled_with:
            self._checks, self._compiled_with = {}, loaded
        if type_name in self._checks:
            return self._checks[type_name]
        by_url = {url: loaded[url] for url in self._urls.values() if url in loaded}
        name = type_name if type_name in self._definitions else self._urls.get(type_name, "")
        check = None
        try:
            with time_limit(_COMPILE_LIMIT_S):
                check = compile_schema(name, self._definitions, by_url)
        except Exception as error:  # noqa: BLE001 - as above: whatever a stranger's schema does, its type accepts anything
            self._tell(type_name, f"{type(error).__name__}: {error}")
        self._checks[type_name] = check
        return check

    def _took_too_long(self, defined: DefinedValue) -> None:
        from edge.runtime.schema_check import nodes_in

        name = defined.type_name
        if nodes_in(defined.value, _SMALL_NODES) > _SMALL_NODES:
            self._tell(name, f"checking large values takes more than {self._shared.check_limit_s} s; they are accepted")
            return
        self._strikes[name] = self._strikes.get(name, 0) + 1
        self._tell(name, f"checking a value takes more than {self._shared.check_limit_s} s")
        if self._strikes[name] >= _MOST_STRIKES:
            self._checks[name] = None

    def _tell(self, type_name: str, reason: str) -> None:
        """Log once per type that it accepts what it should perhaps refuse."""
        if type_name not in self._told:
            self._told.add(type_name)
            log.warning("container %s: definition %s is not used: %s", self._container, type_name, reason[:500])
