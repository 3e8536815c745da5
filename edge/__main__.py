"""`python -m edge` is the command `opaca-edge`."""

from __future__ import annotations

import sys

from edge.cli.main import main

sys.exit(main())
