"""TLS between the bridge and a real Mosquitto: what is wrong with a certificate, or with a clock, is said in words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import BadBridge, BrokerSettings
from bridge.mqtt import client, driver
from bridge.mqtt.client import Broker
from bridge.mqtt.failures import LinkError
from edge.cli.authority import CA_CERT, SERVER_CERT, SERVER_KEY, Names
from tests.contract.certificates import certified, certify, certify_client
from tests.system.brokers import Mosquitto, broker
from tests.system.fault_proxy import FaultProxy, Link
from tests.system.linked import linked

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    folder = tmp_path / "authority"
    certified(folder)
    return folder


def lines(authority: Path, *, asks: bool = False) -> str:
    """Of a Mosquitto with TLS, which may ask for certificates."""
    told = f"certfile {authority / SERVER_CERT}\nkeyfile {authority / SERVER_KEY}\n"
    if asks:
        return f"{told}cafile {authority / CA_CERT}\nrequire_certificate true\nuse_identity_as_username true"
    return f"{told}allow_anonymous true"


async def settings(
    mosquitto: Mosquitto, authority: Path, client: Path | None = None, host: str = "127.0.0.1"
) -> Broker:
    made = BrokerSettings(
        host=host, port=mosquitto.port, user="home", is_tls=True, ca_file=authority / CA_CERT, longest_pause_s=0.2,
        cert_file=None if client is None else client.with_suffix(".pem"),
        key_file=None if client is None else client.with_suffix(".key"),
    )  # fmt: skip
    return await asyncio.to_thread(made.open)


@pytest.fixture
def asking(tmp_path: Path, authority: Path) -> Iterator[Mosquitto]:
    """A broker that asks for certificates."""
    with broker(tmp_path / "broker", lines(authority, asks=True)) as running:
        yield running


async def test_a_device_with_a_certificate_is_let_in_without_a_password(
    tmp_path: Path, authority: Path, asking: Mosquitto
) -> None:
    await asyncio.to_thread(certify_client, authority, tmp_path / "home", "home")
    async with linked(await settings(asking, authority, tmp_path / "home"), ["a/#"]) as one:
        await one.is_up()
        await one.link.deliver("a/b", bytes(100_000))
        async with asyncio.timeout(20):
            while not one.heard:
                await asyncio.sleep(0.01)
        assert len(one.heard[0].payload) == 100_000


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ((-10, -1), ("refuses our certificate", "has expired", "the broker's clock")),
        (None, ("refuses our certificate", "cert_file and key_file")),
        ("other", ("refuses our certificate", "authority that the broker does not know")),
    ],
    ids=["expired", "none", "of another authority"],
)
async def test_what_a_broker_has_against_our_certificate_is_said(
    tmp_path: Path, authority: Path, asking: Mosquitto, days: object, said: tuple[str, ...]
) -> None:
    shown: Path | None = tmp_path / "home"
    if days is None:
        shown = None
    elif isinstance(days, tuple):
        await asyncio.to_thread(certify_client, authority, tmp_path / "home", "home", *days)
    else:
        await asyncio.to_thread(certified, tmp_path / "other")
        await asyncio.to_thread(certify_client, tmp_path / "other", tmp_path / "home", "home")
    async with linked(await settings(asking, authority, shown)) as one:
        await one.says(*said)


@pytest.mark.parametrize(
    ("days", "names", "said"),
    [
        ((-10, -1), ("localhost",), ("has expired", "this machine's clock is wrong")),
        ((1, 10), ("localhost",), ("not yet valid", "this machine's clock is wrong")),
        ((-1, 10), ("elsewhere.example",), ("Hostname mismatch", "by a name that it has")),
    ],
    ids=["expired", "not yet valid", "of another host"],
)
async def test_what_is_wrong_with_the_brokers_certificate_is_said_and_mended_without_a_restart(
    tmp_path: Path, authority: Path, days: tuple[float, float], names: tuple[str, ...], said: tuple[str, ...]
) -> None:
    await asyncio.to_thread(certify, authority, *days, Names(names, ()))
    with broker(tmp_path / "broker", lines(authority)) as mosquitto:
        async with linked(await settings(mosquitto, authority, host="localhost")) as one:
            await one.says("is not trusted", *said)
            await asyncio.to_thread(certify, authority)
            await asyncio.to_thread(mosquitto.kill)
            await asyncio.to_thread(mosquitto.start)
            await one.is_up()


async def test_an_authority_that_is_not_known_is_to_be_named(tmp_path: Path, authority: Path) -> None:
    await asyncio.to_thread(certified, tmp_path / "other")
    with broker(tmp_path / "broker", lines(authority)) as mosquitto:
        async with linked(await settings(mosquitto, tmp_path / "other")) as one:
            await one.says("is not trusted", "name its authority with ca_file")


async def test_tls_on_one_side_only_is_said(tmp_path: Path, authority: Path) -> None:
    with broker(tmp_path / "plain") as plain, broker(tmp_path / "secure", lines(authority)) as secure:
        async with (
            linked(await settings(plain, authority)) as one,
            linked(Broker(host="127.0.0.1", port=secure.port, user="home")) as other,
        ):
            await one.says("if it does not speak TLS, it is mqtt://")
            await other.says("hung up at once", "expects TLS (mqtts://)")


async def test_a_certificate_that_was_renewed_is_used_without_a_restart(
    tmp_path: Path, authority: Path, asking: Mosquitto
) -> None:
    await asyncio.to_thread(certify_client, authority, tmp_path / "home", "home", -10, -1)
    async with linked(await settings(asking, authority, tmp_path / "home")) as one:
        await one.says("has expired")
        await asyncio.to_thread(certify_client, authority, tmp_path / "home", "home")
        await one.is_up()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, authority: Path) -> None:
    certify_client(authority, tmp_path / "home", "home")
    (tmp_path / "home.key").chmod(0o644)
    made = BrokerSettings(
        host="h", port=1, user="home", is_tls=True, cert_file=tmp_path / "home.pem", key_file=tmp_path / "home.key"
    )
    with pytest.raises(BadBridge, match="chmod 600"):
        made.open()


async def test_a_handshake_that_never_ends_is_given_up_and_leaves_no_thread(
    tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CONNECT_S", -4.5)  # 5 s more than that for all
    monkeypatch.setattr(client, "CONNECT_S", 30.0)
    with broker(tmp_path / "broker", lines(authority)) as mosquitto:
        async with FaultProxy.before(mosquitto.url) as proxy:
            proxy.bytes_per_s = 20.0
            tcp_port = int(proxy.url.rpartition(":")[2])
            made = await settings(mosquitto, authority)
            context = made.tls
            assert isinstance(context, ssl.SSLContext)
            slow = Broker(host="127.0.0.1", port=tcp_port, user="home", tls=context, longest_pause_s=0.2)
            async with linked(slow) as one:
                await one.says("does not answer")
                proxy.bytes_per_s = None
                await proxy.become(Link.CUT)
                await proxy.become(Link.WELL)
                await one.is_up()


async def test_whatever_stands_before_a_broker_that_is_away_needs_no_hand(authority: Path) -> None:
    """A container engine or a load balancer takes the connection and hangs up; the broker will be back."""
    nothing = Mosquitto(Path("/nowhere"))
    async with FaultProxy.before(f"mqtt://127.0.0.1:{nothing.port}") as gate:
        nothing.port = int(gate.url.rpartition(":")[2])
        with pytest.raises(LinkError, match="hung up") as raised:
            async with driver.Connection(await settings(nothing, authority), lambda _: None, None):
                pass
        assert not raised.value.needs_hand
