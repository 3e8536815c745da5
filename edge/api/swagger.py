"""Swagger UI without the internet: its files come from the PyPI package swagger-ui-bundle-v2, its page is ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edge.errors import NotFound
from edge.http.replies import Reply

# Of the landing page. Nothing from elsewhere, nothing inline: a hostile name or result can at most be seen.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI sets styles on its elements and draws with data: images; scripts and requests stay with this platform.
SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_OUR_FOLDER = Path(__file__).parent / "static" / "swagger"
_OURS = ("index.html", "start.js", "start.css")
_FROM_PACKAGE = (
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
)
_TYPES = {
    ".html": "text/html;charset=UTF-8",
    ".css": "text/css;charset=UTF-8",
    ".js": "text/javascript;charset=UTF-8",
    ".png": "image/png",
}


def file_reply(name: str) -> Reply:
    """Return a file of Swagger UI; without the package its page says what to install. Reads files: not for the loop.

    Raises:
        NotFound: any name but the few that the page uses.
    """
    path = file_path(name)
    if path is None:
        raise NotFound(f"Swagger UI has no file {name[:100]!r}")
    # The package's files change with its version only; ours must not outlive an update of the platform.
    caching = "no-cache" if path.parent == _OUR_FOLDER else "max-age=3600"
    headers = [("Cache-Control", caching), ("Referrer-Policy", "no-referrer")]
    if path.suffix == ".html":
        headers.append(("Content-Security-Policy", SWAGGER_POLICY))
    return Reply(path.read_bytes(), _TYPES[path.suffix], headers=tuple(headers))


def file_path(name: str) -> Path | None:
    """Return where a file is; only names from two fixed lists are ever looked up."""
    folder = package_folder()
    if name in _OURS:
        return _OUR_FOLDER / ("missing.html" if name == "index.html" and folder is None else name)
    return folder / name if folder is not None and name in _FROM_PACKAGE else None


def package_folder() -> Path | None:
    """Return the newest Swagger UI of the package, complete or not at all; the package itself is not imported."""
    spec = find_spec("swagger_ui_bundle")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        for folder in sorted(Path(location, "vendor").glob("swagger-ui-*"), key=_version, reverse=True):
            if all((folder / name).is_file() for name in _FROM_PACKAGE):
                return folder
    return None


def _version(folder: Path) -> tuple[int, ...]:
    numbers = folder.name.removeprefix("swagger-ui-").split(".")
    return tuple(int(number) for number in numbers if number.isdecimal())
