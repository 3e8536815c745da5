"""What stands in the configuration files of the platforms that a broker joins."""

from __future__ import annotations

from pathlib import Path


def device_toml(site: str, gateway: str, broker_url: str, password_file: Path, ca_file: Path | None) -> str:
    """Return what stands in the file where a site runs."""
    return _table(
        "bridge.device", site=site, gateway=gateway, broker=broker_url, password_file=password_file, ca_file=ca_file
    )


def gateway_toml(name: str, broker_url: str, password_file: Path, ca_file: Path | None) -> str:
    """Return what stands in the file of a gateway."""
    return _table("bridge.gateway", name=name, broker=broker_url, password_file=password_file, ca_file=ca_file)


def access_toml(site: str) -> str:
    """Return what stands in the gateway's file so that a site may call agents there."""
    return f'[bridge.gateway.sites.{site}]\nrole = "USER"\nallow = ["*"]\n'


def _table(table: str, **keys: str | Path | None) -> str:
    return f"[{table}]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items() if value is not None)
