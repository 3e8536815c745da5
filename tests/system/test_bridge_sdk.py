"""A container of the PyPI package `opaca`, unmodified, at home behind a bridge: the cloud uses it as home does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import Process, until
from tests.system.brokers import broker
from tests.system.households import Household

pytestmark = pytest.mark.timeout(90)

_BRIDGE = 'bundled = []\n[bridge]\nlisten = "127.0.0.1:0"\n'
_DEVICE = _BRIDGE + '[bridge.device]\nsite = "home"\ngateway = "cloud"\nbroker = "{url}"\n'
_GATEWAY = (
    _BRIDGE + '[bridge.gateway]\nname = "cloud"\nbroker = "{url}"\n'
    '[bridge.gateway.sites.home]\nrole = "USER"\nallow = ["*"]\n'
)


@dataclass
class Joined:
    """Home, where the container runs, and the cloud."""

    home: Household
    cloud: Process
    container_id: str


@pytest.fixture(scope="module")
def joined(real_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    folder = tmp_path_factory.mktemp("sdk")
    interpreter = real_part("opaca")
    with ExitStack() as stack:
        url = stack.enter_context(broker(folder / "broker")).url
        cloud = _process(folder / "cloud", _GATEWAY.format(url=url))
        stack.enter_context(cloud)
        home = Household(folder / "home", {"CONTAINER_TIMEOUT_SEC": "60"})
        stack.callback(home.clear_away)
        home.process = _process(folder / "home", _DEVICE.format(url=url), CONTAINER_TIMEOUT_SEC="60")
        home.sdk(interpreter)
        home.process.__enter__()
        container_id = home.posted("sdk")
        until(lambda: "worker" in cloud.ask("GET", "/agents?includeConnected=true").text, "the cloud sees it")
        yield Joined(home, cloud, container_id)


def _process(folder: Path, text: str, **settings: str) -> Process:
    folder.mkdir()
    (folder / "edge.toml").write_text(text)
    settings = {"PORT": "0", "STATE_DIR": str(folder / "state"), **settings}
    return Process(["run", "--config", str(folder / "edge.toml")], folder, settings)


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("Add", {"x": 2**40, "y": -1}), ("Add/worker", {"x": 1, "y": 2}), ("Where", {}), ("Block", {"seconds": 0.1}),
        ("Add", {"x": "1", "y": 2}), ("Add", {"x": 1}), ("Add", {"x": 1, "y": 2, "z": 3}), ("Unknown", {}),
        ("Whoami", {}), ("Fail", {}),
    ],
)  # fmt: skip
def test_an_action_answers_the_cloud_as_it_answers_home(joined: Joined, action: str, arguments: Any) -> None:
    near = joined.home.ask("POST", f"/invoke/{action}", json_body=arguments)
    far = joined.cloud.ask("POST", f"/invoke/{action}", json_body=arguments)
    assert far.status == near.status
    if near.status == 502:
        assert far.json()["cause"] == near.json()
    else:
        assert far.json() == near.json()


def test_it_is_described_and_streams_as_at_home(joined: Joined) -> None:
    for path in ("/agents/worker", "/stream/Count", "/stream/Count/worker", "/stream/Unknown"):
        near, far = joined.home.ask("GET", path), joined.cloud.ask("GET", path)
        assert (far.status, far.header("content-type"), far.body) == (
            near.status, near.header("content-type"), near.body,
        ), path  # fmt: skip
    assert joined.cloud.ask("GET", "/stream/Count/worker").body == b"0\n1\n2\n"


def test_messages_and_broadcasts_of_the_cloud_arrive(joined: Joined) -> None:
    wishes: list[Any] = [{"payload": {"a": [1, None]}, "replyTo": "me"}, {"payload": None, "replyTo": None}, {}]
    for wish in wishes:
        assert joined.cloud.ask("POST", "/send/worker", json_body=wish).status == 200
    assert joined.cloud.ask("POST", "/broadcast/news", json_body={"payload": "all", "replyTo": "me"}).status == 200
    assert joined.cloud.ask("POST", "/broadcast/other", json_body={"payload": "none of it"}).status == 200

    def came() -> bool:
        heard = joined.home.do(joined.container_id, "Heard")
        said = [(each["payload"], each["replyTo"]) for each in heard]
        assert ("none of it", "") not in said
        return sorted(said, key=str) == sorted(
            [({"a": [1, None]}, "me"), (None, ""), (None, ""), ("all", "me")], key=str
        )

    joined.home.settles(came, "all came once")
    assert joined.cloud.ask("POST", "/send/nobody", json_body={"payload": 1}).status == 404
