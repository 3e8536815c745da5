"""A program that starts containers and may be killed at any moment: what it stored is in a file, one record a line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.system.launching import launching


async def main(folder: Path) -> None:
    descriptor = os.open(folder / "records", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async with launching(folder, first_pause_s=0.01) as laboratory:

        async def on_record(container_id: str, record: dict[str, Any]) -> None:
            os.write(descriptor, json.dumps([container_id, record]).encode() + b"\n")

        laboratory.launcher._house.on_record = on_record
        laboratory.puppet()
        async with asyncio.TaskGroup() as tasks:
            for mode in ("", "deaf", "dies once ready"):
                tasks.create_task(laboratory.start(arguments={"MODE": mode}, timeout_s=60))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
