"""Swagger UI without the internet: its files come from the PyPI package swagger-ui-bundle-v2, its page is ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edge.api.assets import STATIC_FOLDER, Asset, asset

# Swagger UI sets styles on its elements and draws with data: images; scripts and requests stay with this platform.
SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_OURS = {
    "index.html": "swagger-index.html",
    "start.js": "swagger-start.js",
    "start.css": "swagger-start.css",
}
_FROM_PACKAGE = (
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
)
_KEEP_S = 3600


def swagger_assets() -> dict[str, Asset]:
    """Return the files under `/swagger-ui/` by name; there are no others.

    Without the package there is one page, which says what to install. Looks into folders: call it once, at start.
    """
    folder = _package_folder()
    if folder is None:
        missing = asset(STATIC_FOLDER / "swagger-missing.html", SWAGGER_POLICY)
        return {"index.html": missing, "start.css": asset(STATIC_FOLDER / _OURS["start.css"], SWAGGER_POLICY)}
    ours = {name: asset(STATIC_FOLDER / file, SWAGGER_POLICY) for name, file in _OURS.items()}
    return ours | {name: asset(folder / name, SWAGGER_POLICY, _KEEP_S) for name in _FROM_PACKAGE}


def _package_folder() -> Path | None:
    """Return the newest Swagger UI of the package, complete or not at all; the package itself is not imported."""
    spec = find_spec("swagger_ui_bundle")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        folders = sorted(Path(location, "vendor").glob("swagger-ui-*"), key=_version, reverse=True)
        for folder in folders:
            if all((folder / name).is_file() for name in _FROM_PACKAGE):
                return folder
    return None


def _version(folder: Path) -> tuple[int, ...]:
    numbers = folder.name.removeprefix("swagger-ui-").split(".")
    return tuple(int(number) for number in numbers if number.isdecimal())
