"""The bridge's settings, from the same file as the platform's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge import __version__
from edge.cli.failures import ExitCode, Failed
from edge.config import PlatformConfig

if TYPE_CHECKING:
    from bridge.config import BridgeConfig
    from edge.runtime.beside import Entrance

_HOW = (
    "the configuration file has no [bridge] section. A platform at home needs [bridge.device] with site, gateway and"
    " broker; one in the cloud [bridge.gateway] with name and broker. docs/bridge.md shows both"
)


def bridge_config(
    config: PlatformConfig, platform_url: str, entrance: Entrance | None = None, *, logs_in: bool = True
) -> BridgeConfig:
    """Return the bridge's settings.

    Args:
        config: The platform's, of which the bridge's are a section.
        platform_url: The platform beside the bridge, unless the section names one.
        entrance: How a platform in the same process is called, unless the section names one.
        logs_in: Whether it needs the administrator's password where callers must log in.

    Raises:
        Failed: there is no such section, or it cannot be used; nothing was started.
    """
    from bridge.config import BadBridge, load_bridge
    from bridge.local import Administrator

    if not config.bridge:
        raise Failed(_HOW, ExitCode.USAGE)
    folder = Path.cwd() if config.config_file is None else config.config_file.absolute().parent
    administrator = None
    if entrance is not None and "platform" not in config.bridge:
        platform_url = entrance.url
        if entrance.token is not None:
            administrator = Administrator(entrance.user, token=entrance.token)
    elif config.require_auth and config.platform_admin_pwd is not None:
        administrator = Administrator(config.platform_admin_user, config.platform_admin_pwd)
    try:
        return load_bridge(
            config.bridge,
            folder,
            platform_url=platform_url,
            state_dir=config.state_dir,
            administrator=administrator,
            requires_auth=config.require_auth and logs_in,
            software=f"opaca-edge {__version__}",
        )
    except BadBridge as error:
        where = f"{config.config_file}: " if config.config_file else ""
        raise Failed("\n".join(f"{where}{line}" for line in str(error).splitlines()), ExitCode.USAGE) from error
