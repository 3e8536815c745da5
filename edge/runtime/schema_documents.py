"""JSON Schemas that images name by URL, loaded in the background, never while a request waits (Decision 15)."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from edge.model.codec import decode_value
from edge.model.json_value import JsonValue

log = logging.getLogger(__name__)

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""GET an http(s) URL, following no redirect, reading at most `MAX_DOCUMENT_BYTES` + 1; raises on any failure."""

MAX_DOCUMENT_BYTES = 1024 * 1024
_FETCH_TIMEOUT_S = 5.0
_AT_ONCE = 4
_MOST_DOCUMENTS = 256
_MOST_BYTES = 16 * 1024 * 1024
_LONGEST_URL = 2048
_RETRY_FIRST_S = 30.0
_RETRY_MOST_S = 3600.0


def is_loadable(url: str) -> bool:
    """Tell whether a URL may be loaded at all: http or https, absolute, no fragment, no credentials."""
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment and "@" not in parts.netloc


class SchemaDocuments:
    """What was loaded from URLs, shared by all containers and kept until the process ends.

    `run` is the job that loads; without it, or without `fetch`, nothing is ever loaded and the types accept anything.

    Attributes:
        loaded: The schemas by URL.
        discarded: How often a schema was left out because too many or too large ones are kept already.
    """

    def __init__(self, fetch: Fetch | None, retry_first_s: float = _RETRY_FIRST_S) -> None:
        self.loaded: Mapping[str, JsonValue] = {}
        self.discarded = 0
        self._fetch = fetch
        self._retry_first_s = retry_first_s
        self._wanted_by: WeakKeyDictionary[object, frozenset[str]] = WeakKeyDictionary()
        self._sizes: dict[str, int] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._changed = asyncio.Event()

    def want(self, owner: object, urls: Collection[str]) -> None:
        """Have URLs loaded for as long as `owner` lives."""
        self._wanted_by[owner] = frozenset(urls)
        self._changed.set()

    async def run(self) -> None:
        """Load what is wanted, again and again where it fails, until cancelled."""
        if self._fetch is None:
            return
        while True:
            self._changed.clear()
            due, wait_s = self._due()
            if due:
                async with asyncio.TaskGroup() as tasks:
                    for url in due[:_AT_ONCE]:
                        tasks.create_task(self._load(url, self._fetch), name=f"load schema {url}")
                continue
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _wanted(self) -> set[str]:
        return {url for urls in self._wanted_by.values() for url in urls}

    def _due(self) -> tuple[list[str], float | None]:
        """Return what should be loaded now, and in how many seconds something else should."""
        missing = self._wanted() - self.loaded.keys()
        for url in self._failures.keys() - missing:
            del self._failures[url]
        now = time.monotonic()
        retries = {url: self._failures.get(url, (0, now))[1] for url in missing}
        due = sorted(url for url, at in retries.items() if at <= now)
        return due, max(0.0, min(retries.values()) - now) if retries else None

    async def _load(self, url: str, fetch: Fetch) -> None:
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                content = await fetch(url)
            if len(content) > MAX_DOCUMENT_BYTES:
                raise ValueError(f"more than {MAX_DOCUMENT_BYTES} bytes")
            schema = decode_value(content)
        except Exception as error:  # noqa: BLE001 - one URL, whatever is wrong with it, must not end the job for all
            self._failed(url, f"{type(error).__name__}: {error}")
            return
        if not self._make_room(len(content)):
            self.discarded += 1
            self._failed(url, f"{len(self.loaded)} schemas are kept already")
            return
        # A new mapping each time: threads read the old one meanwhile.
        self.loaded = {**self.loaded, url: schema}
        self._sizes[url] = len(content)
        self._failures.pop(url, None)
        log.info("schema loaded from %s", url)

    def _failed(self, url: str, reason: str) -> None:
        count = self._failures.get(url, (0, 0.0))[0] + 1
        wait_s = min(self._retry_first_s * 2 ** min(count - 1, 10), _RETRY_MOST_S) * random.uniform(0.8, 1.2)
        self._failures[url] = (count, time.monotonic() + wait_s)
        if count == 1:
            log.warning("schema %s cannot be loaded, its type accepts anything until it can: %s", url, reason)

    def _make_room(self, size_bytes: int) -> bool:
        """Forget, if needed, what no container wants any more; tell whether a further schema may be kept."""
        if self._fits(size_bytes):
            return True
        wanted = self._wanted()
        self.loaded = {url: schema for url, schema in self.loaded.items() if url in wanted}
        self._sizes = {url: size for url, size in self._sizes.items() if url in wanted}
        return self._fits(size_bytes)

    def _fits(self, size_bytes: int) -> bool:
        return len(self._sizes) < _MOST_DOCUMENTS and sum(self._sizes.values()) + size_bytes <= _MOST_BYTES
