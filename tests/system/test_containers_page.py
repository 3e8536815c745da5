"""docs/containers.md, followed by somebody who does exactly what it says: every block is run, every answer compared."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from edge.launcher.base import ContainerState
from edge.launcher.images import _Start, read_image
from edge.launcher.process.output import MAX_OUTPUT_BYTES
from edge.launcher.process.restarts import FIRST_PAUSE_S, LONGEST_PAUSE_S, LOOP_ENDS, LOOP_WITHIN_S
from tests.system.reader import ROOT, Reader, blocks, in_clone, missing

PAGE = (ROOT / "docs/containers.md").read_text("utf-8")

_ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?\b")
_NUMBER = re.compile(r"\d+(\.\d+)?")


def shape(text: str) -> str:
    """What is the same at every run: IDs, figures and the width of columns differ."""
    return re.sub(" +", " ", _NUMBER.sub("0", _ID.sub("ID", text)))


@pytest.fixture
def ports(unused_tcp_port_factory: Callable[[], int]) -> dict[str, int]:
    """The ports that the page names, and those that are meant here."""
    return {"8000": unused_tcp_port_factory(), "8090": unused_tcp_port_factory()}


@pytest.fixture
def reader(tmp_path: Path, ports: dict[str, int]) -> Iterator[Reader]:
    """A reader in a folder that looks like a fresh clone."""
    replaced = {rf"([:=]){said}\b": rf"\g<1>{meant}" for said, meant in ports.items()} | {"curl ": "curl -sS "}
    settings = {"STATE_DIR": str(tmp_path / "state"), "OPACA_EDGE_URL": f"http://127.0.0.1:{ports['8000']}"}
    reader = Reader(in_clone(tmp_path), replaced, settings)
    yield reader
    reader.stop()


@pytest.mark.timeout(120)
@missing("curl", "node")
def test_the_page_does_what_it_says(
    reader: Reader, ports: dict[str, int], tmp_path: Path, real_part: Callable[[str], Path]
) -> None:
    package = real_part("opaca").parent.parent
    said = ""
    for block in blocks(PAGE):
        text = block.text
        if block.file:
            (tmp_path / block.file).write_text(text)
        elif block.language == "text":
            assert shape(said.rstrip()) == shape(text.rstrip())
        elif "pip install" in text:
            # What it would fetch is there already.
            (tmp_path / "my-images/greeter").mkdir()
            (tmp_path / "my-images/greeter/.venv").symlink_to(package)
        elif text.startswith(("scripts/run", "PORT=")):
            reader.start(text, ports["8090" if text.startswith("PORT=") else "8000"])
        elif "containers remove" in text:
            assert "'counter' means 3 containers; name one by its ID:" in reader.type(text, expected_code=2)
        elif "/log?" in text:
            for line in text.replace("&follow=true", "").splitlines():
                said = reader.type(line.replace("/ID/", f"/{_an_id(reader)}/"))
                assert "statusCode" not in said, said
        else:
            said = reader.type(text)
    states = {
        each["name"]: each["state"] for each in json.loads(reader.type("curl http://127.0.0.1:8000/edge/containers"))
    }
    expected = {"system", "counter", "greeter", "clock", "hall-clock"}
    assert states == dict.fromkeys(expected, ContainerState.RUNNING.value)


def _an_id(reader: Reader) -> str:
    (container,) = json.loads(reader.type(".venv/bin/opaca-edge images greeter --json"))
    listed = json.loads(reader.type(".venv/bin/opaca-edge containers --json"))
    return str(next(each["id"] for each in listed if each["name"] == container["name"]))


def test_every_key_of_start_toml_is_documented_with_its_default(tmp_path: Path) -> None:
    section = PAGE.partition("## start.toml")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", section, re.MULTILINE))
    assert rows.keys() == {field.name for field in msgspec.structs.fields(_Start)}
    (tmp_path / "image.json").write_text('{"imageName": "x"}')
    (tmp_path / "start.toml").write_text('command = ["x"]\n')
    image = read_image(tmp_path)
    in_words = {"command": "–", "env": "none", "memory_mb": "no limit", "cpu_percent": "no limit"}
    in_words["restart"] = '`"on-failure"`'  # where neither the image nor the wish says anything
    assert image.restart is None
    for key, text in rows.items():
        assert text == in_words.get(key, f"`{json.dumps(getattr(image, key, None))}`"), key


def test_figures_and_states_are_those_of_the_program() -> None:
    assert f"after {FIRST_PAUSE_S:g} s, then 1, 2, 4, up to {LONGEST_PAUSE_S:g} s" in PAGE
    assert LOOP_ENDS == 5
    assert f"Five ends in a row, each within {LOOP_WITHIN_S:g} s of the start" in PAGE
    assert MAX_OUTPUT_BYTES == 1024 * 1024
    said = PAGE.partition("The states are ")[2].partition(".")[0]
    assert re.findall("`([a-z-]+)`", said) == [state.value for state in ContainerState]


@pytest.mark.parametrize("text", [block.text for block in blocks(PAGE) if block.language == "js"])
@missing("node")
def test_javascript_is_javascript(text: str, tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text(text)
    assert subprocess.run(["node", "--check", str(tmp_path / "main.js")], check=False).returncode == 0
