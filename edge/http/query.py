"""Query parameters: absent or empty means the default, anything unreadable is a 400 (contract, section 1.2)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from edge.errors import ParameterMismatch

_TRUE = frozenset(("true", "on", "yes", "1"))
_FALSE = frozenset(("false", "off", "no", "0"))
_INTEGER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_MAX_PARAMETERS = 100


class Query:
    """The parameters behind the question mark; of a name given twice the first counts."""

    __slots__ = ("_values",)

    def __init__(self, raw: str) -> None:
        """Parse the raw query string.

        Raises:
            ParameterMismatch: not UTF-8 behind the percent signs, or too many parameters.
        """
        self._values: dict[str, str] = {}
        if not raw:
            return
        try:
            pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
        except ValueError as error:
            raise ParameterMismatch(
                f"query {raw[:200]!r}: expected percent-encoded UTF-8, at most {_MAX_PARAMETERS} parameters"
            ) from error
        for name, value in pairs:
            self._values.setdefault(name, value)

    def text(self, name: str) -> str | None:
        """Return the value, or None if it is absent or empty."""
        return self._values.get(name) or None

    def boolean(self, name: str, default: bool) -> bool:
        """Return true for `true on yes 1`, false for `false off no 0`, in any case.

        Raises:
            ParameterMismatch: anything else.
        """
        value = self._values.get(name)
        if not value:
            return default
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise ParameterMismatch(f"query parameter {name}={value[:100]!r}: expected true or false")

    def integer(self, name: str, default: int) -> int:
        """Return a decimal whole number of 32 bits.

        Raises:
            ParameterMismatch: anything else.
        """
        value = self._values.get(name)
        if not value:
            return default
        number = int(value) if _INTEGER.fullmatch(value) else None
        if number is None or not -(2**31) <= number < 2**31:
            raise ParameterMismatch(f"query parameter {name}={value[:100]!r}: expected a whole number of 32 bits")
        return number

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of `choices`, the first by default; upper and lower case differ.

        Raises:
            ParameterMismatch: anything else.
        """
        value = self._values.get(name) or choices[0]
        if value not in choices:
            raise ParameterMismatch(f"query parameter {name}={value[:100]!r}: expected {' or '.join(choices)}")
        return value


EMPTY_QUERY = Query("")
