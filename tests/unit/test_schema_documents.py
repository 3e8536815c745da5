"""Schemas that images name by URL: when they are loaded, how often, and which never."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edge.model.definitions import DefinedValue, Definitions
from edge.model.descriptions import AgentContainerImage
from edge.model.json_value import JsonValue
from edge.runtime.definitions import Schemas


def define(schemas: Schemas, definitions: dict[str, JsonValue], by_url: dict[str, str]) -> Definitions:
    return schemas.of("rooms", AgentContainerImage(image_name="i", definitions=definitions, definitions_by_url=by_url))


async def mismatch(definitions: Definitions, name: str, value: JsonValue) -> str | None:
    return await definitions.mismatch([DefinedValue(name, value, "p")]) if name in definitions else None


class Web:
    """What can be fetched, and what was."""

    def __init__(self, **pages: bytes | Exception) -> None:
        self.pages: dict[str, bytes | Exception] = {f"http://web/{name}": page for name, page in pages.items()}
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(0)
        page = self.pages.get(url, OSError("refused"))
        if isinstance(page, Exception):
            raise page
        return page


@asynccontextmanager
async def loading(web: Web) -> AsyncIterator[Schemas]:
    async with Schemas(web.fetch, check_limit_s=0.15) as schemas:
        schemas.documents._retry_first_s = 0.01
        async with asyncio.TaskGroup() as tasks:
            job = tasks.create_task(schemas.run())
            yield schemas
            job.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.001)


async def test_type_by_url_accepts_anything_until_its_schema_is_loaded() -> None:
    web = Web(room=b'{"type": "integer"}')
    async with loading(web) as schemas:
        definitions = define(schemas, {}, {"Room": "http://web/room"})
        assert "Room" not in definitions
        await until(lambda: "Room" in definitions)
        assert await mismatch(definitions, "Room", "x") == 'parameter p: expected integer, got "x" (type Room)'


async def test_schema_by_url_is_loaded_once_for_all_containers() -> None:
    web = Web(room=b"{}")
    async with loading(web) as schemas:
        first = define(schemas, {}, {"Room": "http://web/room"})
        await until(lambda: "Room" in first)
        second = define(schemas, {}, {"Zimmer": "http://web/room#"})
        assert "Zimmer" in second
    assert web.asked == ["http://web/room"]


async def test_schema_that_cannot_be_loaded_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    web = Web()
    async with loading(web) as schemas:
        definitions = define(schemas, {"Own": {"type": "integer"}}, {"Room": "http://web/room"})
        await until(lambda: len(web.asked) >= 3)
        assert "Room" not in definitions
        assert await mismatch(definitions, "Own", "x")
        web.pages["http://web/room"] = b'{"type": "null"}'
        await until(lambda: "Room" in definitions)
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == [logging.WARNING]


@pytest.mark.parametrize("page", [b"", b"<html>", b"[" * 5000, b"\xff", b'{"a": NaN}', b" " * 1024 * 1024 + b" 1"])
async def test_what_is_no_json_is_no_schema(page: bytes) -> None:
    web = Web(room=page, ok=b"{}")
    async with loading(web) as schemas:
        definitions = define(schemas, {}, {"Room": "http://web/room", "Ok": "http://web/ok"})
        await until(lambda: "Ok" in definitions and web.asked.count("http://web/room") > 1)
        assert "Room" not in definitions


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "room.json",
        "",
        "//web/room",
        "http://",
        "ftp://web/x",
        "http://web:port/",
        "http://[",
        "http://user:secret@web/x",
        "http://web/a b",
        "http://web/x#part",
        "http://web/\n",
        "http://web/" + "a" * 3000,
    ],
)
async def test_url_that_must_not_be_loaded_is_an_unknown_type(url: str, caplog: pytest.LogCaptureFixture) -> None:
    web = Web(ok=b"{}")
    async with loading(web) as schemas:
        definitions = define(schemas, {}, {"Room": url, "Ok": "http://web/ok"})
        await until(lambda: "Ok" in definitions)
        assert "Room" not in definitions
    assert web.asked == ["http://web/ok"]
    assert "Room" in caplog.text


async def test_definitions_reach_schemas_by_their_url_once_loaded() -> None:
    web = Web(room=b'{"properties": {"door": {"$ref": "http://web/door"}}}', door=b'{"type": "integer"}')
    async with loading(web) as schemas:
        definitions = define(
            schemas,
            {"House": {"items": {"$ref": "http://web/room"}}},
            {"Room": "http://web/room", "Door": "http://web/door"},
        )
        await mismatch(definitions, "House", [{"door": "x"}])
        await until(lambda: "Room" in definitions and "Door" in definitions)
        assert await mismatch(definitions, "House", [{"door": "x"}])
        assert await mismatch(definitions, "House", [{"door": 1}]) is None


async def test_no_more_schemas_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.runtime.schema_documents._MOST_DOCUMENTS", 2)
    web = Web(a=b"{}", b=b"{}", c=b"{}")
    async with loading(web) as schemas:
        first = [define(schemas, {}, {"A": "http://web/a", "B": "http://web/b"})]
        await until(lambda: "A" in first[0] and "B" in first[0])
        late = define(schemas, {}, {"C": "http://web/c"})
        await until(lambda: schemas.documents.discarded > 0)
        assert "C" not in late
        first.clear()
        await until(lambda: "C" in late)
        assert set(schemas.documents.loaded) == {"http://web/c"}
