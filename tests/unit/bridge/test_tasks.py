"""Tasks of the bridge: all of them end with it, those that others begin while they end as well."""

from __future__ import annotations

import asyncio

from bridge.tasks import Tasks


async def test_what_is_begun_while_everything_ends_ends_too() -> None:
    begun: list[str] = []

    async def last_deed(tasks: Tasks) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.keep(asyncio.Event().wait, "for ever")
            begun.append("something")

    async with asyncio.timeout(15):
        async with Tasks() as tasks:
            tasks.start(last_deed(tasks), "last deed")
            await asyncio.sleep(0)
    assert begun == ["something"]
