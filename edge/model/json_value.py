"""The type of a free JSON value, as it stands in payloads, arguments and results."""

from __future__ import annotations

from typing import Any, TypeAlias

# A recursive alias would be exact, but msgspec and mypy both treat it as Any in the end.
JsonValue: TypeAlias = Any
