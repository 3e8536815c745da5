"""Settings of containers that run alone, and of clients."""

from __future__ import annotations

import pytest

from edge.config import (
    ClientConfig,
    ContainerConfig,
)
from edge.settings import BadSetting

# Containers that run alone, and clients.


def test_container_reads_what_its_platform_gives_it() -> None:
    environ = {
        "CONTAINER_ID": "c7",
        "PLATFORM_URL": "http://pi:8000/",
        "TOKEN": "t",
        "OWNER": "",
        "PORT": "8090",
        "PORT_MAPPING": "8082:8090,1883:1884",
        "LEVEL": "3",
    }
    config = ContainerConfig.from_environ(environ)
    assert (config.container_id, config.platform_url, config.token) == ("c7", "http://pi:8000", "t")
    assert (config.owner, config.tcp_port, config.host) == ("", 8090, "127.0.0.1")
    assert config.port_mapping == {8082: 8090, 1883: 1884}
    assert config.values["LEVEL"] == "3"
    assert "'t'" not in repr(config)


def test_container_needs_no_variable_at_all() -> None:
    config = ContainerConfig.from_environ({})
    assert (config.container_id, config.platform_url, config.tcp_port, config.token) == (None, None, None, "")


def test_container_names_bad_variables() -> None:
    with pytest.raises(BadSetting, match=r"PORT='x'.*\nPORT_MAPPING='8082': expected pairs"):
        ContainerConfig.from_environ({"PORT": "x", "PORT_MAPPING": "8082"})


def test_client_takes_argument_before_variable_before_default() -> None:
    assert ClientConfig.load({}, {}).url == "http://127.0.0.1:8000"
    environ = {"OPACA_EDGE_URL": "http://a:1/", "OPACA_EDGE_TOKEN": "t"}
    assert ClientConfig.load({}, environ).url == "http://a:1"
    assert ClientConfig.load({"OPACA_EDGE_URL": "http://b:1"}, environ).url == "http://b:1"
    assert ClientConfig.load({}, environ).token == "t"


@pytest.mark.parametrize(("environ", "expected"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_client_knows_whether_colours_are_wanted(environ: dict[str, str], expected: bool) -> None:
    assert ClientConfig.load({}, environ).is_colour_wanted is expected


def test_client_names_a_bad_url_as_it_was_given() -> None:
    with pytest.raises(BadSetting, match=r"^OPACA_EDGE_URL='pi': expected an absolute URL"):
        ClientConfig.load({}, {"OPACA_EDGE_URL": "pi"})
    with pytest.raises(BadSetting, match=r"^--url='pi': expected an absolute URL"):
        ClientConfig.load({"OPACA_EDGE_URL": "pi"}, {})
