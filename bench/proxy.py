"""The baseline of forwarding: a bare aiohttp application that passes every request on, and the answer back.

Run as `python -m bench.proxy PORT TARGET_PORT`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import ClientSession, TCPConnector, web

TARGET = web.AppKey("target", str)
SESSION = web.AppKey("session", ClientSession)


async def pass_on(request: web.Request) -> web.Response:
    body = await request.read()
    target = request.app[TARGET] + request.path_qs
    headers = {"Content-Type": "application/json"}
    async with request.app[SESSION].request(request.method, target, data=body, headers=headers) as answer:
        return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


async def session(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(connector=TCPConnector(limit=0)) as opened:
        app[SESSION] = opened
        yield


def application(target_port: int) -> web.Application:
    app = web.Application()
    app[TARGET] = f"http://127.0.0.1:{target_port}"
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", pass_on)
    return app


if __name__ == "__main__":
    web.run_app(application(int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
