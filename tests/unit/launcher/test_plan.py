"""What wish and image come to together (contract, Decision 8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.errors import ParameterMismatch, Undecodable
from edge.launcher.images import Image, Restart
from edge.launcher.process.plan import Plan, is_allowed, make_plan
from edge.model.descriptions import AgentContainerImage, ImageParameter, PortDescription
from edge.model.requests import PostAgentContainer


def _image(*parameters: ImageParameter, **more: Any) -> Image:
    description = AgentContainerImage("i", parameters=list(parameters), **more.pop("description", {}))
    return Image(folder=Path("/images/i"), description=description, command=("x",), **more)


def _plan(
    image: Image, *parameters: ImageParameter, arguments: dict[str, str | None] | None = None, **config: Any
) -> Plan:
    wish = PostAgentContainer(
        image=AgentContainerImage("i", parameters=list(parameters)),
        arguments=arguments or {},
        client_config={"type": "NATIVE", **config} if config else None,
    )
    return make_plan(wish, image)


def test_only_what_the_image_declares_becomes_a_variable(caplog: pytest.LogCaptureFixture) -> None:
    plan = _plan(_image(ImageParameter("A")), ImageParameter("C"), arguments={"A": "1", "B": "secret", "C": "3"})
    assert plan.parameters == {"A": "1"}
    assert "declares no parameter B, C: dropped" in caplog.text
    assert "allows no parameter C" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("own", "asked", "arguments", "values"),
    [
        (ImageParameter("A", default_value="d"), None, {}, {"A": "d"}),
        (ImageParameter("A", default_value="d"), None, {"A": "g"}, {"A": "g"}),
        (ImageParameter("A", default_value="d"), None, {"A": ""}, {"A": ""}),
        (ImageParameter("A", default_value="d"), None, {"A": None}, {"A": "d"}),
        (ImageParameter("A"), None, {}, {}),
        (ImageParameter("A", required=True), None, {}, None),
        (ImageParameter("A", required=True, default_value="d"), None, {}, None),
        (ImageParameter("A", required=True), ImageParameter("A", default_value="e"), {}, {"A": "e"}),
        (ImageParameter("A", default_value="d"), ImageParameter("A", required=True), {}, None),
        (ImageParameter("A", default_value="d"), ImageParameter("A"), {}, {}),
    ],
)
def test_requirement_and_default_are_the_wishs_where_it_describes_the_parameter(
    own: ImageParameter, asked: ImageParameter | None, arguments: dict[str, str | None], values: dict[str, str] | None
) -> None:
    described = [asked] if asked else []
    if values is None:
        with pytest.raises(ParameterMismatch, match="required parameters of the image have no value: A"):
            _plan(_image(own), *described, arguments=arguments)
    else:
        assert _plan(_image(own), *described, arguments=arguments).parameters == values


@pytest.mark.parametrize(("own", "asked"), [(True, False), (False, True), (True, True)])
def test_a_parameter_is_confidential_if_either_says_so(own: bool, asked: bool) -> None:
    image = _image(ImageParameter("A", confidential=own), ImageParameter("B"))
    plan = _plan(image, ImageParameter("A", confidential=asked), arguments={"A": "hush", "B": "loud"})
    assert plan.confidential == {"A"}
    assert plan.secrets == ("hush",)


@pytest.mark.parametrize(
    "name",
    [
        "CONTAINER_ID", "TOKEN", "token", "PORT", "PATH", "HOME", "LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS",
        "BASH_ENV", "HTTPS_PROXY", "WEB_CONCURRENCY", "A=B", "", "1A", "Ä",
    ],
)  # fmt: skip
def test_what_would_decide_which_code_runs_cannot_be_declared(name: str) -> None:
    assert not is_allowed(name)
    assert _plan(_image(ImageParameter(name)), arguments={name: "x"}).parameters == {}


@pytest.mark.parametrize("name", ["MODE", "API_KEY", "pathology", "Lamp2", "_X"])
def test_ordinary_names_can_be_declared(name: str) -> None:
    assert is_allowed(name)


@pytest.mark.parametrize(
    ("own", "asked", "result"),
    [(None, None, None), (64, None, 64), (None, 64, 64), (64, 32, 32), (32, 64, 32), (64, "32", 32)],
)
def test_the_smaller_limit_counts(own: int | None, asked: Any, result: int | None) -> None:
    plan = _plan(_image(memory_mb=own, cpu_percent=own), memoryMb=asked, cpuPercent=asked)
    assert (plan.memory_mb, plan.cpu_percent) == (result, result)


@pytest.mark.parametrize(
    ("own", "asked", "result"),
    [
        (None, None, Restart.ON_FAILURE),
        (Restart.ALWAYS, None, Restart.ALWAYS),
        (None, "always", Restart.ALWAYS),
        (Restart.ALWAYS, "never", Restart.NEVER),
        (Restart.NEVER, "always", Restart.NEVER),
        (Restart.ON_FAILURE, "always", Restart.ON_FAILURE),
    ],
)
def test_the_smaller_restart_policy_counts(own: Restart | None, asked: str | None, result: Restart) -> None:
    assert _plan(_image(restart=own), restart=asked).restart is result


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"memoryMb": 0}, ParameterMismatch),
        ({"cpuPercent": -1}, ParameterMismatch),
        ({"memoryMb": "much"}, Undecodable),
        ({"memoryMb": []}, Undecodable),
        ({"restart": "sometimes"}, Undecodable),
        ({"nodeName": "x"}, Undecodable),
    ],
)
def test_a_configuration_that_is_none_is_refused(config: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="clientConfig"):
        _plan(_image(), **config)


def test_requirements_and_extra_ports_are_those_of_both() -> None:
    image = _image(
        description={"requires": ["a", "b"], "extra_ports": {1: PortDescription("TCP", "own"), 2: PortDescription()}}
    )
    wish = PostAgentContainer(
        image=AgentContainerImage(
            "i", requires=["b", "c"], extra_ports={1: PortDescription("UDP"), 3: PortDescription()}
        )
    )
    plan = make_plan(wish, image)
    assert plan.requires == ("b", "c", "a")
    assert {port: description.protocol for port, description in plan.extra_ports.items()} == {
        1: "UDP",
        2: None,
        3: None,
    }


@pytest.mark.parametrize(("own", "asked", "port"), [(9000, 8082, 9000), (9000, 7000, 7000), (8082, 8082, 8082)])
def test_the_api_port_is_the_images_unless_the_wish_names_another(own: int, asked: int, port: int) -> None:
    wish = PostAgentContainer(image=AgentContainerImage("i", api_port=asked))
    assert make_plan(wish, _image(description={"api_port": own})).api_port == port


def test_values_that_no_variable_can_hold_are_refused() -> None:
    with pytest.raises(ParameterMismatch, match="parameter A"):
        _plan(_image(ImageParameter("A")), arguments={"A": "x\0y"})
    with pytest.raises(ParameterMismatch, match="extraPorts 0"):
        make_plan(PostAgentContainer(image=AgentContainerImage("i", extra_ports={0: PortDescription()})), _image())
