"""Settings from the configuration file, and what of them is shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.config import (
    PlatformConfig,
)
from edge.config_file import BundledContainer
from edge.settings import BadSetting


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "opaca-edge.toml"


def load(file: Path, environ: Mapping[str, str] | None = None, **arguments: object) -> PlatformConfig:
    return PlatformConfig.load(arguments, environ or {}, config_file=file)


def file_problems(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(BadSetting) as caught:
        load(file)
    return str(caught.value).replace(str(file), "FILE")


# The file.


def test_argument_wins_over_environment_over_file_over_default(file: Path) -> None:
    file.write_text("[platform]\nport = 1\nevent_history_size = 1\nhost = 'localhost'\n")
    config = load(file, {"PORT": "2", "EVENT_HISTORY_SIZE": "2"}, PORT="3", EVENT_HISTORY_SIZE=None)
    assert (config.tcp_port, config.event_history_size, config.host) == (3, 2, "localhost")
    assert config.origins["tcp_port"] == "argument"
    assert config.origins["event_history_size"] == "environment"
    assert config.origins["host"] == f"file {file}"
    assert "container_timeout_s" not in config.origins


def test_empty_variable_leaves_the_file_its_say(file: Path) -> None:
    file.write_text("[platform]\nport = 1\n")
    assert load(file, {"PORT": ""}).tcp_port == 1


def test_values_of_the_file_have_their_types(file: Path) -> None:
    file.write_text("[platform]\nrequire_auth = true\nport = '81'\nallowed_hosts = ['a', 'b']\n")
    config = load(file)
    assert (config.require_auth, config.tcp_port, config.allowed_hosts) == (True, 81, ("a", "b"))


def test_paths_in_the_file_are_relative_to_it(file: Path) -> None:
    file.write_text("[platform]\nstate_dir = 'state'\n")
    config = load(file)
    assert config.state_dir == file.parent / "state"
    assert config.image_directory == file.parent / "state/images"


def test_file_is_looked_for_in_order(tmp_path: Path) -> None:
    places = {name: tmp_path / f"{name}.toml" for name in ("argument", "variable", "first", "second")}
    for number, path in enumerate(places.values(), start=1):
        path.write_text(f"[platform]\nport = {number}\n")
    standard = (tmp_path / "missing.toml", places["first"], places["second"])
    environ = {"OPACA_EDGE_CONFIG": str(places["variable"])}

    def port(environ: dict[str, str], config_file: Path | None = None) -> int:
        loaded = PlatformConfig.load(environ=environ, config_file=config_file, standard_files=standard)
        return loaded.tcp_port

    assert port(environ, places["argument"]) == 1
    assert port(environ) == 2
    assert port({}) == 3
    assert port({"OPACA_EDGE_CONFIG": ""}) == 8000, "empty means none"
    assert PlatformConfig.load(environ={}, standard_files=standard[:1]).config_file is None


def test_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"missing\.toml: No such file or directory; name another one with --config"):
        load(tmp_path / "missing.toml")
    with pytest.raises(BadSetting, match=r"missing\.toml"):
        PlatformConfig.load(environ={"OPACA_EDGE_CONFIG": str(tmp_path / "missing.toml")})


def test_file_that_is_no_toml_is_named_with_the_place(file: Path) -> None:
    assert "not TOML" in file_problems(file, "[platform\n")
    assert "line 1" in file_problems(file, "[platform\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[platfrom]", "platfrom (FILE): there is no such section (did you mean 'platform'?)"),
        ("port = 1", "port (FILE): there is no such section (is it in [platform]?)"),
        ("[platform]\nprot = 1", "platform.prot (FILE): there is no such setting (did you mean 'port'?)"),
        ("[platform]\nport = true", "port=True (file FILE): expected a whole number from 0 to 65535"),
        ("[platform]\nport = 1.5", "port=1.5 (file FILE): expected a whole number from 0 to 65535"),
        ("[platform]\nrequire_auth = 3", "require_auth=3 (file FILE): expected true or false"),
        ("[platform]\nsession_policy = 1", "session_policy=1 (file FILE): expected one of"),
        ("[platform]\nsecret = 'abc'", "secret (value hidden) (file FILE): expected base64"),
        ("platform = 1", "platform (FILE): expected a section [platform]"),
        ("bridge = 1", "bridge (FILE): expected a section [bridge]"),
        ("bundled = 'a'", "bundled (FILE): expected one section [[bundled]] for each container"),
        ("[bundled]\nname = 'a'", "bundled (FILE): expected one section [[bundled]] for each container"),
        ("[[bundled]]\nfactory = 'a:b'", "bundled[1].name (FILE): expected up to 64 letters"),
        ("[[bundled]]\nname = 'a'\nfactory = 'ab'", "bundled[1].factory (FILE): expected where the container is made"),
        ("[[bundled]]\nnme = 'a'", "bundled[1].nme (FILE): there is no such key (did you mean 'name'?)"),
        ("[[bundled]]\nname = 'a'\nfactory = 'a:b'\nparameters = 3", "bundled[1].parameters (FILE): expected a table"),
        (
            "[[bundled]]\nname = 'a'\nfactory = 'a:b'\n[[bundled]]\nname = 'a'\nfactory = 'a:c'",
            "bundled[2].name='a' (FILE): expected a name of its own",
        ),
    ],
)
def test_bad_file_is_explained(file: Path, text: str, expected: str) -> None:
    assert file_problems(file, text).startswith(expected)


def test_bundled_containers_of_the_file_stand_instead_of_the_default(file: Path) -> None:
    file.write_text("[[bundled]]\nname = 'greenhouse'\nfactory = 'my.module:container'\nparameters = { level = 3 }\n")
    wanted = BundledContainer(name="greenhouse", factory="my.module:container", parameters={"level": 3})
    assert load(file).bundled == (wanted,)
    assert PlatformConfig.load(environ={}, config_file=file, bundled=False).bundled == ()


def test_file_can_ask_for_no_bundled_container(file: Path) -> None:
    file.write_text("bundled = []\n")
    assert load(file).bundled == ()


def test_bridge_section_is_passed_through(file: Path) -> None:
    file.write_text("[bridge]\nbroker = 'localhost'\n[bridge.lanes]\na = 'alarm'\n")
    assert load(file).bridge == {"broker": "localhost", "lanes": {"a": "alarm"}}


@pytest.mark.parametrize(("mode", "is_warned"), [(0o644, True), (0o600, False)])
def test_secret_in_a_file_that_others_may_read_is_warned_about(file: Path, mode: int, is_warned: bool) -> None:
    file.write_text("[platform]\nplatform_admin_pwd = 'hunter2'\n")
    file.chmod(mode)
    assert any("chmod 600" in warning for warning in load(file).warnings) is is_warned
