"""The baseline: what aiohttp and msgspec cost alone. Eleven routes, one echoes a JSON object.

Run as `python -m bench.bare PORT`.
"""

from __future__ import annotations

import sys

import msgspec
from aiohttp import web

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


async def echo(request: web.Request) -> web.Response:
    value = _decoder.decode(await request.read())
    return web.Response(body=_encoder.encode(value), content_type="application/json")


async def info(request: web.Request) -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")


def application() -> web.Application:
    app = web.Application()
    app.router.add_get("/info", info)
    for name in ("agents", "containers", "history", "config", "connections"):
        app.router.add_get(f"/{name}", info)
        app.router.add_get(f"/{name}/{{name}}", info)
    app.router.add_post("/invoke/{action}/{agent}", echo)
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
