"""The landing page: complete, from this machine alone, without a way for data to become markup, readable."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

import edge.api
from edge.api.swagger import CONTENT_SECURITY_POLICY

FOLDER = Path(edge.api.__file__).parent / "static"
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


def text(name: str) -> str:
    return (FOLDER / name).read_text()


def by_name(path: Path) -> str:
    return path.name


def test_everything_that_is_named_is_there_and_everything_there_is_named() -> None:
    page = text("index.html")
    named = {"index.html", *re.findall(r'(?:src|href)="([\w.-]+\.(?:css|js|svg|png))"', page)}
    for script in SCRIPTS:
        named |= set(re.findall(r'from "\./([\w.-]+)"', script.read_text()))
    assert named == {path.name for path in FILES}


def test_page_links_to_the_documents() -> None:
    targets = re.findall(r'href="([^"#]+)"', text("index.html"))
    assert {"swagger-ui/index.html", "v3/api-docs"} <= set(targets)
    [actions] = [target for target in targets if "urls.primaryName" in target]
    name = unquote(actions.removeprefix("swagger-ui/index.html?urls.primaryName="))
    assert f'{{ url: "../v3/api-docs/actions", name: "{name}" }}' in text("swagger/start.js")


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    found = re.findall(
        r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE)
    )
    assert [link for link in found if not link.startswith("http://www.w3.org/")] == []
    assert "@import" not in path.read_text()


def test_nothing_is_inline_that_the_policy_forbids() -> None:
    page = text("index.html")
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_data_cannot_become_markup_or_code(path: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|Attribute\(\"on|srcdoc"
    assert re.findall(forbidden, path.read_text()) == []


@pytest.mark.parametrize("path", [*SCRIPTS, FOLDER / "style.css", FOLDER / "index.html"], ids=by_name)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_everything_on_the_page_that_is_operated_has_a_name() -> None:
    page = text("index.html")
    for control in re.findall(r"<(?:button|input|nav|ol)\b[^>]*>", page):
        has_name = "aria-label" in control or "<button" in control or "<input" in control
        assert has_name, control
    for section in re.findall(r"<section[^>]*>", page):
        assert "aria-labelledby=" in section
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page


def test_logo_is_a_picture_without_scripts() -> None:
    root = ElementTree.fromstring(text("opaca-logo.svg"))
    assert root.tag.endswith("svg")
    assert not [element for element in root.iter() if "script" in element.tag or "foreignObject" in element.tag]


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", block))


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(scheme: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", text("style.css"), flags=re.DOTALL)
    colours = _colours(light) | (_colours(dark) if scheme == "dark" else {})
    pairs = [
        (ink, ground)
        for ink in ("ink", "soft", "accent", "good", "bad", "info")
        for ground in ("ground", "paper", "wash")
    ]
    pairs.append(("accent-ink", "accent"))
    weak = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: value for pair, value in weak.items() if value < 4.5} == {}
