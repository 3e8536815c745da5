"""A native container that costs as little as Python allows: it answers each invoke with the body that it got.

Run as `python echo.py`, with the variables that a platform hands to its containers.
"""

from __future__ import annotations

import asyncio
import os

import msgspec
from aiohttp import web

ACTION = {
    "name": "Echo",
    "parameters": {"text": {"type": "string"}, "times": {"type": "integer"}},
    "result": {"type": "object"},
}


def description() -> bytes:
    return msgspec.json.encode(
        {
            "containerId": os.environ.get("CONTAINER_ID", ""),
            "image": {"imageName": "echo"},
            "agents": [{"agentId": "echo-0", "actions": [ACTION]}],
            "runningSince": "2026-04-21T13:13:39.120Z",
        }
    )


async def serve(tcp_port: int) -> None:
    info = description()

    async def answer(request: web.BaseRequest) -> web.Response:
        body = info if request.method == "GET" else await request.read()
        return web.Response(body=body, content_type="application/json")

    server = web.Server(answer, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", tcp_port)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(os.environ["PORT"])))
