"""Images of native processes: which folders hold one, and which one runs."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from edge.errors import NotFound
from edge.launcher.images import BrokenImage, ImageDirectory, Restart, read_image
from edge.model.image_names import image_tag, plain_image_name, version_key


def _make(
    folder: Path, name: str = "greeter", start: str | None = 'command = ["python", "main.py"]', **more: Any
) -> Path:
    folder.mkdir(parents=True)
    (folder / "image.json").write_text(json.dumps({"imageName": name, **more}))
    if start is not None:
        (folder / "start.toml").write_text(start)
    return folder


def test_a_folder_with_description_and_command_is_an_image(tmp_path: Path) -> None:
    start = """
        command = ["python", "-u", "main.py"]
        memory_mb = 64
        cpu_percent = 50
        stop_grace_s = 10
        exclusive = true
        restart = "always"
        [env]
        COLOUR = "red"
        LEVEL = 3
        LOUD = true
    """
    image = read_image(_make(tmp_path / "a", "registry:5000/x/greeter:1.2@sha256:00", start, surplus=1))
    assert image.name == "registry:5000/x/greeter"
    assert image.version == "1.2"
    assert image.command == ("python", "-u", "main.py")
    assert image.environment == {"COLOUR": "red", "LEVEL": "3", "LOUD": "true"}
    assert (image.memory_mb, image.cpu_percent, image.stop_grace_s) == (64, 50, 10.0)
    assert (image.exclusive, image.restart) == (True, Restart.ALWAYS)


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        (None, "there is no start.toml"),
        ("command = [", "start.toml: "),
        ("command = []", "start.toml: .*length >= 1"),
        ('command = "python main.py"', "start.toml: Expected `array`"),
        ('command = [""]', "start.toml: command .* can be no program"),
        ('command = ["a"]\nmemory_mb = 0', "start.toml: .*>= 1"),
        ('command = ["a"]\nmemorymb = 1', "start.toml: .*unknown field `memorymb`"),
        (
            'command = ["a"]\nrestart = "sometimes"',
            "start.toml: restart 'sometimes': expected never, on-failure, always",
        ),
        ('command = ["a"]\nenv = { "A=B" = "1" }', "start.toml: env 'A=B' can be no variable"),
        ("#" * 70_000, "start.toml is larger than 65536 bytes"),
    ],
)
def test_a_start_file_that_cannot_be_used_is_named(tmp_path: Path, start: str | None, complaint: str) -> None:
    with pytest.raises(BrokenImage, match=complaint):
        read_image(_make(tmp_path / "a", start=start))


@pytest.mark.parametrize(
    ("description", "complaint"),
    [("{", "image.json: not JSON"), ("{}", "image.json: .*imageName"), ('{"imageName": ""}', "imageName is empty")],
)
def test_a_description_that_cannot_be_used_is_named(tmp_path: Path, description: str, complaint: str) -> None:
    (_make(tmp_path / "a") / "image.json").write_text(description)
    with pytest.raises(BrokenImage, match=complaint):
        read_image(tmp_path / "a")


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ({"name": "n", "main": "m.js", "version": "2"}, ("node", "m.js")),
        ({"name": "n", "main": "m.py", "dependencies": {}}, ("python", "m.py")),
        ({"name": "n", "main": "m.js", "dependencies": {"x": "1"}}, "its dependencies must be prepared first"),
        ({"name": "n", "main": "m.rb"}, "neither .js nor .py"),
        ({"name": "n"}, "expected a name and a main"),
        ({"main": "m.js"}, "missing required field `name`"),
        ([], "Expected `object`"),
    ],
)
def test_a_package_that_needs_no_preparing_is_an_image(tmp_path: Path, package: Any, command: Any) -> None:
    (tmp_path / "package.json").write_text(json.dumps(package))
    if isinstance(command, str):
        with pytest.raises(BrokenImage, match=command):
            read_image(tmp_path)
    else:
        image = read_image(tmp_path)
        assert (image.name, image.version, image.command) == ("n", package.get("version"), command)


def test_a_package_whose_dependencies_are_there_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "n", "main": "m.js", "dependencies": {"x": "1"}}))
    (tmp_path / "node_modules").mkdir()
    assert read_image(tmp_path).command == ("node", "m.js")


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ("greeter", "1.10"),
        ("greeter:1.9", "1.9"),
        ("greeter:v1.9", "1.9"),
        ("greeter@sha256:00", "1.10"),
        ("greeter:latest", "1.10"),
        ("greeter:7.0", "1.10"),
    ],
)
async def test_the_higher_version_runs_unless_the_tag_says_which(tmp_path: Path, asked: str, version: str) -> None:
    for number, one in enumerate(["1.9", "1.10", "1.10-beta"]):
        _make(tmp_path / str(number), version=one)
    assert (await ImageDirectory(tmp_path).find(asked)).version == version


async def test_an_image_that_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    images = ImageDirectory(tmp_path)
    with pytest.raises(NotFound, match=r"there is no image greeter in .*; it holds no image"):
        await images.find("greeter")
    _make(tmp_path / "a")
    _make(tmp_path / "b", start=None)
    with pytest.raises(NotFound, match=r"there is no image greater in .*; there is greeter; cannot be used: b \("):
        await images.find("greater")
    with pytest.raises(NotFound):
        await ImageDirectory(tmp_path / "nowhere").find("greeter")


async def test_a_broken_folder_harms_no_other_and_is_named_once_per_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _make(tmp_path / "good")
    _make(tmp_path / "bad", "other", start=None)
    (tmp_path / "a file").touch()
    (tmp_path / ".git").mkdir()
    images = ImageDirectory(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert [image.name for image in await images.list()] == ["greeter"]
        assert [record.getMessage() for record in caplog.records] == [
            f"the image folder {tmp_path / 'bad'} cannot be used: there is no start.toml"
        ]
        (tmp_path / "bad" / "start.toml").write_text("command = []")
        await images.list()
        assert len(caplog.records) == 2
        (tmp_path / "bad" / "start.toml").write_text('command = ["a"]')
        assert [image.name for image in await images.list()] == ["greeter", "other"]


@pytest.mark.parametrize(
    ("name", "plain", "tag"),
    [
        ("a", "a", None),
        ("a:1", "a", "1"),
        ("host:5000/a", "host:5000/a", None),
        ("host:5000/a:1@sha256:0", "host:5000/a", "1"),
        ("a@sha256:0", "a", None),
    ],
)
def test_names_lose_tag_and_digest(name: str, plain: str, tag: str | None) -> None:
    assert (plain_image_name(name), image_tag(name)) == (plain, tag)


def test_versions_are_ordered_by_their_numbers() -> None:
    ordered = [
        None,
        "0.9",
        "1.0-alpha",
        "1.0-beta.2",
        "1.0-beta.10",
        "1.0rc1",
        "1.0",
        "1.0.1",
        "1.2",
        "1.10",
        "v2",
        "10",
    ]
    assert sorted(random.sample(ordered, len(ordered)), key=version_key) == ordered
    assert version_key("1.0") == version_key("1") == version_key("v1.0.0+build7")
