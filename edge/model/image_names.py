"""Names of images, as they stand in wishes and descriptions: `registry:5000/path/name:tag@digest`."""

from __future__ import annotations

import re
from itertools import takewhile

# Words that put a version before the one without them.
_EARLIER = frozenset(("a", "alpha", "b", "beta", "c", "dev", "m", "pre", "preview", "rc", "snapshot"))
_PIECES = re.compile(r"\d+|[a-z]+", re.ASCII)


def plain_image_name(image_name: str) -> str:
    """Return an image's name without `:tag` and `@digest`."""
    name = image_name.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def image_tag(image_name: str) -> str | None:
    """Return what follows the colon after an image's name, None if there is nothing."""
    return image_name.partition("@")[0].rpartition("/")[2].partition(":")[2] or None


def version_key(version: str | None) -> tuple[tuple[int, int, str], ...]:
    """Return what orders versions: numbers by size, `1.10` above `1.9`, `1.0` above `1.0-beta`, none at all lowest."""
    if version is None:
        return ()
    pieces = _PIECES.findall(version.partition("+")[0].lower().removeprefix("v"))
    numbers = list(takewhile(str.isdigit, pieces))
    words = pieces[len(numbers) :]
    while len(numbers) > 1 and not int(numbers[-1]):
        numbers.pop()  # 1.0 is 1, and 1.0-beta is 1-beta
    return (*(_rank(piece) for piece in (*numbers, *words)), (1, 0, ""))


def _rank(piece: str) -> tuple[int, int, str]:
    if piece.isdigit():
        return (3, int(piece), "")
    return (0 if piece in _EARLIER else 2, 0, piece)
