"""Documents: OpenAPI of the API and of all actions, Swagger UI, the landing page.

What describes and renders them is loaded when somebody asks for the first time: most platforms never show a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from edge.errors import NotFound
from edge.http.replies import JSON, Reply, text_reply
from edge.http.request import Request
from edge.http.routes import RouteTable
from edge.runtime.platform import Platform

# Not by importlib.resources, which loads zipfile and more: half a megabyte for a platform that shows no page.
_STATIC = Path(__file__).parent / "static"
_HTML = "text/html;charset=UTF-8"
_TYPES = {
    ".html": _HTML,
    ".css": "text/css;charset=UTF-8",
    ".js": "text/javascript;charset=UTF-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class DocumentHandlers:
    """Handlers of `/v3/api-docs`, `/swagger-ui` and `/`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._table: RouteTable | None = None
        self._api: dict[str, Reply] = {}

    def describe(self, table: RouteTable) -> None:
        """Say which routes `/v3/api-docs` describes."""
        self._table = table

    async def actions(self, request: Request) -> Reply:
        """`GET /v3/api-docs/actions`, as JSON or YAML."""
        from edge.api.openapi.actions import actions_document
        from edge.api.openapi.rendering import as_json, as_yaml

        render = {"JSON": as_json, "YAML": as_yaml}[request.query.choice("format", ("JSON", "YAML"))]
        containers = [container.description for container in self._platform.directory.containers]
        requires_auth = self._platform.requires_auth
        # Many containers make a large document: off the loop.
        text = await asyncio.to_thread(lambda: render(actions_document(containers, requires_auth)))
        return text_reply(text, request.accept)

    async def api_json(self, request: Request) -> Reply:
        """`GET /v3/api-docs` and `GET /v3/api-docs/All`."""
        return await self._described("json")

    async def api_yaml(self, request: Request) -> Reply:
        """`GET /v3/api-docs.yaml`."""
        return await self._described("yaml")

    async def swagger_redirect(self, request: Request) -> Reply:
        """`GET /swagger-ui.html`."""
        return Reply(status=302, headers=(("Location", "swagger-ui/index.html"),))

    async def swagger_file(self, request: Request) -> Reply:
        """`GET /swagger-ui/{file}`."""
        from edge.api import swagger

        return await asyncio.to_thread(swagger.file_reply, request.parameters["file"])

    async def landing_page(self, request: Request) -> Reply:
        """`GET /`."""
        return await self._static("index.html")

    async def static_file(self, request: Request) -> Reply:
        """`GET` of a file that the landing page uses."""
        return await self._static(unquote(request.raw_path).removeprefix("/"))

    def static_files(self) -> Sequence[str]:
        """Return the names of the landing page's files."""
        return sorted(entry.name for entry in _STATIC.iterdir() if entry.name.endswith(tuple(_TYPES)))

    async def _static(self, name: str) -> Reply:
        body = await asyncio.to_thread((_STATIC / name).read_bytes)
        headers = [("Cache-Control", "no-cache")]
        if name.endswith(".html"):
            from edge.api.swagger import CONTENT_SECURITY_POLICY

            headers.append(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
        return Reply(body, _TYPES["." + name.rpartition(".")[2]], headers=tuple(headers))

    async def _described(self, form: str) -> Reply:
        if not self._api:
            self._api = await asyncio.to_thread(self._render)
        return self._api[form]

    def _render(self) -> dict[str, Reply]:
        from edge.api.openapi.platform import platform_document
        from edge.api.openapi.rendering import as_json, as_yaml

        if self._table is None:
            raise NotFound("the routes are not known yet")
        facts = self._platform.facts
        document = platform_document(self._table, facts.base_url, self._platform.requires_auth)
        return {
            "json": Reply(as_json(document).encode(), JSON),
            "yaml": Reply(as_yaml(document).encode(), "application/vnd.oai.openapi"),
        }
