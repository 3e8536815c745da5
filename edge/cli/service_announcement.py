"""The platform in the local network: a service file of Avahi's, which announces it by mDNS (design decision 16)."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.sax.saxutils import escape

from edge.cli.service_unit import NAME
from edge.config import PlatformConfig, is_loopback

SERVICE_TYPE = "_opaca._tcp"
# Avahi reads what changes here by itself.
FOLDER = Path("/etc/avahi/services")


def announcement_text(tcp_port: int, scheme: str) -> str:
    """Return the service file; `%h` becomes the machine's name.

    Args:
        scheme: `http` or `https`.
    """
    return f"""\
<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<!-- Written by `opaca-edge service install`, which writes it anew; `service uninstall` removes it. -->
<service-group>
  <name replace-wildcards="yes">OPACA Edge on %h</name>
  <service>
    <type>{SERVICE_TYPE}</type>
    <port>{tcp_port}</port>
    <txt-record>path=/</txt-record>
    <txt-record>scheme={escape(scheme)}</txt-record>
  </service>
</service-group>
"""


def announcement_file() -> Path:
    """Return where the service file stands if the platform is announced."""
    return FOLDER / f"{NAME}.service"


def can_be_found(config: PlatformConfig) -> bool:
    """Tell whether there is somebody to find the platform, and somebody who says where it is."""
    return not is_loopback(config.host) and FOLDER.is_dir() and shutil.which("avahi-daemon") is not None
