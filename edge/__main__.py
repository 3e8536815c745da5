"""`python -m edge` is the command `opaca-edge`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command and return its exit code; Ctrl-C also ends it quietly while it is being loaded."""
    try:
        from edge.cli.main import main as command

        return command()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
