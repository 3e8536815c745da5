"""Files that browsers get: the landing page's own, and what every such answer must say in its headers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

STATIC_FOLDER = Path(__file__).parent / "static"

CONTENT_TYPES = {
    ".html": "text/html;charset=UTF-8",
    ".css": "text/css;charset=UTF-8",
    ".js": "text/javascript;charset=UTF-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

# Nothing from elsewhere, nothing inline: a hostile name or result can at most be seen.
LANDING_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# Of the files in the folder, those that belong to the pages of `edge.api.swagger`.
_OF_SWAGGER = "swagger-"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file to serve.

    Attributes:
        path: Where it is.
        content_type: For the header of that name.
        headers: Further headers.
    """

    path: Path
    content_type: str
    headers: tuple[tuple[str, str], ...]

    async def read(self) -> bytes:
        """Return the content, read off the loop."""
        return await asyncio.to_thread(self.path.read_bytes)


def asset(path: Path, policy: str, max_age_s: int = 0) -> Asset:
    """Describe a file; browsers ask again each time unless `max_age_s` is given."""
    caching = f"max-age={max_age_s}" if max_age_s else "no-cache"
    headers = (
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
        ("Cache-Control", caching),
    )
    return Asset(path, CONTENT_TYPES[path.suffix], headers)


def landing_assets() -> dict[str, Asset]:
    """Return the files of the landing page by the name they are asked for with; `index.html` is also what `/` shows.

    Looks into the folder: call it once, before the loop runs or at start.
    """
    return {
        path.name: asset(path, LANDING_POLICY)
        for path in sorted(STATIC_FOLDER.iterdir())
        if path.suffix in CONTENT_TYPES and not path.name.startswith(_OF_SWAGGER)
    }
