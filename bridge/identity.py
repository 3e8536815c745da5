"""Who a bridge is on one broker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are on a broker.

    Attributes:
        name: Site or gateway name.
        is_gateway: Which of them.
        serves: A device's gateway; empty for a gateway.
        shuns: Whom no site may be called like: the gateway that the same bridge serves as a device.
        software: Shown to the other end.
        machine: Tells machines with one card apart.
        store_id: Of the durable store.
    """

    name: str
    is_gateway: bool
    serves: str = ""
    shuns: str = ""
    software: str = ""
    machine: str = ""
    store_id: str = ""
