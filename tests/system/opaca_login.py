"""What `AsyncOpacaClient` does about users, against a platform; runs in the environment of the PyPI package `opaca`.

Arguments: base URL, user, password, container ID. Prints one JSON object: what each step gave, or its HTTP status.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from opaca import AsyncOpacaClient

TIME_LIMIT_S = 5.0  # what other users of the platform give it, at most


async def outcome(work: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await work()
    except httpx.HTTPStatusError as error:
        return {"error": error.response.status_code}
    except Exception as error:
        return {"exception": f"{type(error).__name__}: {error}"}


async def main(url: str, user: str, password: str, container_id: str) -> None:
    client = AsyncOpacaClient(url, timeout=TIME_LIMIT_S)

    async def names() -> list[str]:
        return [each.image.imageName for each in await client.get_containers()]

    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "before": names,
        "wrong password": lambda: client.platform_login(user, "wrong"),
        "login": lambda: client.platform_login(user, password),
        "containers": names,
        "whoami before": lambda: client.invoke("Whoami"),
        "renewed": client.renew_token,
        "wrong container login": lambda: client.container_login(container_id, "ann", "wrong"),
        "container login": lambda: client.container_login(container_id, "ann", "sesame"),
        "whoami": lambda: client.invoke("Whoami"),
        "container logout": lambda: client.container_logout(container_id),
        "whoami after": lambda: client.invoke("Whoami"),
        "deleted": lambda: client.delete_container(container_id),
    }
    print(json.dumps({name: await outcome(work) for name, work in works.items()}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
