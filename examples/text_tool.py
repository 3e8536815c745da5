"""Works on texts: a dataclass and an enum as parameters, a dataclass as result, and a stream of bytes that comes in.

Bundled:  opaca-edge run --config examples/opaca-edge.toml
Alone:    cd examples && opaca-edge agents run text_tool:container
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum

from edge.agents import Agent, Container, action, stream


class Case(Enum):
    AS_IT_IS = "as it is"
    UPPER = "upper"
    LOWER = "lower"


@dataclass
class Layout:
    """How a text is to be set."""

    width: int = 72
    indent: str = ""
    case: Case = Case.AS_IT_IS


@dataclass
class Statistics:
    """What is in a text."""

    characters: int = 0
    words: int = 0
    lines: int = 0
    most_frequent: list[str] = field(default_factory=list)


class TextTool(Agent):
    """Sets and measures texts."""

    def __init__(self) -> None:
        super().__init__()
        self.uploaded = Statistics()

    @action
    def set_text(self, text: str, layout: Layout | None = None) -> list[str]:
        """Break a text into lines. A sync method: it runs in a thread and may take its time."""
        layout = layout or Layout()
        cased = {Case.UPPER: text.upper(), Case.LOWER: text.lower()}.get(layout.case, text)
        return textwrap.wrap(cased, max(layout.width, 1), initial_indent=layout.indent, subsequent_indent=layout.indent)

    @action
    def count(self, text: str) -> Statistics:
        """Count characters, words and lines, and name the three most frequent words."""
        words = text.split()
        frequent = [word for word, _ in Counter(map(str.lower, words)).most_common(3)]
        return Statistics(len(text), len(words), len(text.splitlines()), frequent)

    @stream(mode="POST")
    async def upload(self, pieces: AsyncIterator[bytes]) -> None:
        """Count the characters and lines of a text of any size; `GetUploaded` tells the result."""
        seen = Statistics()
        async for piece in pieces:
            seen.lines += piece.count(b"\n")
            seen.characters += sum(byte & 0xC0 != 0x80 for byte in piece)  # UTF-8: not the bytes that continue one
        self.uploaded = seen

    @action
    async def get_uploaded(self) -> Statistics:
        """What was in the text that was uploaded last."""
        return self.uploaded


def container() -> Container:
    return Container("text-tool", [TextTool()])
