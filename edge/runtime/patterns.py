"""Regular expressions of strangers: compiled only where that takes little.

The module `regex` writes out what a pattern repeats, some 300 bytes for each part, and nothing else of the process runs
meanwhile: the ten characters of `a{9999999}` would take 2.7 GB and hold up the loop for seconds.
"""

from __future__ import annotations

import re
from functools import lru_cache

import regex

_LONGEST = 10_000
_MOST_PARTS = 10_000
# Each takes up to 3 MiB.
_MOST_KEPT = 32

# What ECMAScript, and so JSON Schema, does not have, and what would have to be read differently below: comments, the
# flags `x` and `V1`, and POSIX classes.
_NOT_READ = re.compile(r"\(\?[\w-]*[#xV]|\[:\^?\w*:\]")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|\{(\d*),?\d*\}|.", re.ASCII | re.DOTALL)
_MOST_DIGITS = 5


@lru_cache(maxsize=_MOST_KEPT)
def compiled(pattern: str) -> regex.Pattern[str]:
    """Return a pattern that can be searched for.

    Raises:
        ValueError: it is none, or one that would take too much.
        Exception: it is none, in one of the module's other ways to say so.
    """
    if len(pattern) > _LONGEST or _NOT_READ.search(pattern) or _parts(pattern) > _MOST_PARTS:
        raise ValueError("a regular expression that is too large, or that ECMAScript does not have")
    # The module's own memory would keep 500 of them, whatever they take.
    return regex.compile(pattern, cache_pattern=False)


def _parts(pattern: str) -> int:
    """Return how many parts a pattern has when its repetitions are written out, at least; stops above the limit."""
    around: list[int] = []
    count = last = 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text == "(":
            around.append(count)
            count = last = 0
            continue
        if text == ")" and around:
            last = count + 1
            count = around.pop() + last
        elif text == "+":
            count += last
        elif token[1] is not None:
            digits = token[1].lstrip("0")
            count += last * (_MOST_PARTS if len(digits) > _MOST_DIGITS else int(digits or "0"))
        else:
            last = 1
            count += 1
        if count > _MOST_PARTS:
            return count
    return sum(around) + count
