"""Containers managed with `AsyncOpacaClient`; runs in the environment of the PyPI package `opaca`.

Prints one JSON object: step -> what it returned.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
from opaca import AsyncOpacaClient
from opaca.models import ImageDescription, PostContainer

TIME_LIMIT_S = 5.0  # what other users of the platform give it, at most


async def main(url: str) -> None:
    done: dict[str, Any] = {}
    client = AsyncOpacaClient(url, timeout=TIME_LIMIT_S)
    wish = PostContainer(image=ImageDescription(imageName="sdk"))
    done["post"] = posted = await client.post_container(wish)
    done["listed"] = [each.containerId for each in await client.get_containers()]
    done["connectivity"] = (await client.get_containers())[0].connectivity.model_dump()
    done["where"] = await client.invoke("Where", container_id=posted)
    done["login"] = await client.container_login(posted, "eve", "sesame")
    done["whoami"] = await client.invoke("Whoami", "worker", container_id=posted)
    done["logout"] = await client.container_logout(posted)
    try:
        await client.invoke("Whoami", "worker", container_id=posted)
    except httpx.HTTPStatusError as error:
        done["whoami, logged out"] = error.response.json()
    try:
        await client.container_login(posted, "eve", "wrong")
    except httpx.HTTPStatusError as error:
        done["login, wrong"] = error.response.json()
    done["stream"] = b"".join([piece async for piece in client.get_stream("Count", "worker")]).decode()
    done["notify"] = await client.post_container_notify(posted)
    done["put"] = updated = await client.put_container(wish)
    done["listed, updated"] = [each.containerId for each in await client.get_containers()]
    done["delete"] = await client.delete_container(updated)
    done["delete, again"] = await client.delete_container(updated)
    done["listed, deleted"] = [each.containerId for each in await client.get_containers()]
    print(json.dumps(done))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
