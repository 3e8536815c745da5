"""Swagger UI: only its own few files, all from this machine."""

from __future__ import annotations

import re

import pytest

from edge.api import swagger
from edge.api.swagger import file_reply, package_folder
from edge.errors import NotFound

PAGES = ("index.html", "start.js", "start.css", "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


@pytest.mark.parametrize("name", PAGES)
def test_file_of_the_page_is_served_with_its_type(name: str) -> None:
    reply = file_reply(name)
    assert len(reply.body) > 100
    assert (reply.content_type or "").startswith(
        {"html": "text/html", "css": "text/css", "png": "image/png"}.get(name.rpartition(".")[2], "text/javascript")
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../index.html",
        "/etc/passwd",
        "swagger/index.html",
        "missing.html",
        "index.j2",
        "swagger-ui.js.map",
        "swagger-initializer.js",
        "INDEX.HTML",
        "index.html\x00",
        "index.html/",
        "oauth2-redirect.html",
    ],
)
def test_any_other_name_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        file_reply(name)


def test_everything_the_page_names_is_there() -> None:
    page = file_reply("index.html").body.decode()
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(named) >= 6
    for name in named:
        if not name.startswith("../"):
            assert file_reply(name).body


def test_nothing_is_asked_from_elsewhere() -> None:
    for name in ("index.html", "start.js", "start.css"):
        text = re.sub(r"^\s*//.*$", "", bytes(file_reply(name).body).decode(), flags=re.MULTILINE)
        assert "//" not in text, name
    styles = file_reply("swagger-ui.css").body.decode()
    assert all(target.startswith("data:") for target in re.findall(r"url\(['\"]?([^)'\"]+)", styles))
    assert "@import" not in styles
    policy = dict(file_reply("index.html").headers)["Content-Security-Policy"]
    assert "http" not in policy
    assert "*" not in policy
    assert "default-src 'none'" in policy


def test_without_the_package_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swagger, "find_spec", lambda name: None)
    assert package_folder() is None
    page = file_reply("index.html").body.decode()
    assert "swagger-ui-bundle-v2" in page
    assert all(file_reply(name).body for name in re.findall(r'href="([^".]+\.css)"', page))
    with pytest.raises(NotFound):
        file_reply("swagger-ui.css")
