"""What `run` and `config show` have in common: the settings of a platform on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.config import PlatformConfig


def platform_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the settings that can be given as arguments; all others are variables or keys of the file."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file (else OPACA_EDGE_CONFIG, "
                        "else /etc/opaca-edge.toml, else ./opaca-edge.toml)")  # fmt: skip
    parser.add_argument(
        "--host", metavar="ADDRESS", help="address to listen on (HOST; 127.0.0.1, with REQUIRE_AUTH 0.0.0.0)"
    )
    parser.add_argument("--port", metavar="PORT", help="where to listen, 0 takes a free one (PORT; 8000)")
    parser.add_argument("--public-url", metavar="URL", help="own base URL as others see it (PUBLIC_URL)")
    parser.add_argument("--tls-cert", metavar="FILE", help="PEM certificate to serve https with (TLS_CERT)")
    parser.add_argument("--tls-key", metavar="FILE", help="PEM key of the certificate (TLS_KEY)")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities to trust besides the system's (CA_FILE)")
    parser.add_argument("--state-dir", metavar="FOLDER", help="what must survive a restart (STATE_DIR)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (LOG_LEVEL; info)")
    parser.add_argument("--no-bundled", action="store_true", help="start no bundled container, not even `system`")
    parser.add_argument(
        "--insecure-lan", action="store_true", help="serve the network although nobody needs to log in (INSECURE_LAN)"
    )


def load_platform_config(arguments: argparse.Namespace) -> PlatformConfig:
    """Read the settings from arguments, environment and file."""
    return PlatformConfig.load(
        {
            "HOST": arguments.host,
            "PORT": arguments.port,
            "PUBLIC_URL": arguments.public_url,
            "TLS_CERT": arguments.tls_cert,
            "TLS_KEY": arguments.tls_key,
            "CA_FILE": arguments.ca_file,
            "STATE_DIR": arguments.state_dir,
            "LOG_LEVEL": arguments.log_level,
            "INSECURE_LAN": True if arguments.insecure_lan else None,
        },
        config_file=arguments.config,
        bundled=not arguments.no_bundled,
    )
