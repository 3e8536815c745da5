"""Every method of `AsyncOpacaClient` against a platform; runs in the environment of the PyPI package `opaca`.

Prints one JSON object: method -> what it returned, `{"error": status, "body": ...}` where the client raised an HTTP
error, or `{"exception": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
from opaca import AsyncOpacaClient
from opaca.models import ImageDescription, Message, PostContainer
from pydantic import BaseModel

TIME_LIMIT_S = 5.0  # what other users of the platform give it, at most


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"one", b"two", b"\x00\xff"):
        yield piece


async def collected(stream: AsyncIterator[bytes]) -> str:
    return b"".join([piece async for piece in stream]).hex()


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [plain(each) for each in value] if isinstance(value, list) else value


async def outcome(work: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return plain(await work())
    except httpx.HTTPStatusError as error:
        return {"error": error.response.status_code, "body": error.response.text}
    except Exception as error:
        return {"exception": f"{type(error).__name__}: {error}"}


async def main(url: str) -> None:
    client = AsyncOpacaClient(url, timeout=TIME_LIMIT_S)
    containers = await client.get_containers()
    container_id = containers[0].containerId
    unknown = PostContainer(image=ImageDescription(imageName="no-such-image"), arguments={"A": 1, "B": None})
    message = Message(payload={"temperature": 21.5})
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "get_info": client.get_info,
        "get_config": client.get_config,
        "get_containers": lambda: client.get_containers(include_connected=True),
        "get_agents": lambda: client.get_agents(include_connected=True),
        "get_agent": lambda: client.get_agent("tester"),
        "invoke": lambda: client.invoke("Add", "tester", {"x": 1, "y": 2}),
        "invoke anybody": lambda: client.invoke("Say", args={"text": "ä"}, container_id=container_id, forward=False),
        "invoke without arguments": lambda: client.invoke("Nothing"),
        "invoke what is unknown": lambda: client.invoke("Unknown"),
        "invoke what fails": lambda: client.invoke("Fail"),
        "invoke with what does not fit": lambda: client.invoke("Add", args={"x": "1", "y": 2}),
        "send_message": lambda: client.send_message("tester", message, container_id=container_id),
        "broadcast": lambda: client.broadcast("news", message),
        "heard": lambda: client.invoke("Heard"),
        "get_stream": lambda: collected(client.get_stream("Count", "tester", container_id=container_id)),
        "post_stream": lambda: collected(client.post_stream("Collect", pieces())),
        "collected": lambda: client.invoke("Collected"),
        "get_history": client.get_history,
        "get_connections": client.get_connections,
        "post_container": lambda: client.post_container(unknown),
        "put_container": lambda: client.put_container(unknown),
        "post_container_notify": lambda: client.post_container_notify(container_id),
        "delete_container, unknown": lambda: client.delete_container("none"),
        "delete_container": lambda: client.delete_container(container_id),
        "get_containers, afterwards": client.get_containers,
    }
    print(json.dumps({name: await outcome(work) for name, work in works.items()}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
