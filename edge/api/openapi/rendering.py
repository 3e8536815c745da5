"""OpenAPI documents as text. Whoever serves them keeps the text: writing YAML takes long."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from edge.model.codec import encode


def as_json(document: dict[str, Any]) -> str:
    """Write a document as indented JSON."""
    return msgspec.json.format(encode(document), indent=2).decode()


def as_yaml(document: dict[str, Any]) -> str:
    """Write a document as YAML that means the same in YAML 1.1 and 1.2: what looks like a number is quoted."""
    # Imported late: YAML is rarely asked for.
    import yaml

    class Writer(yaml.SafeDumper):
        """Quotes every text that some reader could take for something else."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def write_text(writer: yaml.SafeDumper, text: str) -> yaml.Node:
        return writer.represent_scalar("tag:yaml.org,2002:str", text, style="'" if _AMBIGUOUS.fullmatch(text) else None)

    Writer.add_representer(str, write_text)
    return yaml.dump(document, Dumper=Writer, sort_keys=False, allow_unicode=True, width=120)


# Numbers as YAML 1.1, 1.2 and other readers know them, also 1e3, 0o7, 1_000 and 12:30:45.
_AMBIGUOUS = re.compile(
    r"[-+]?(0[box])?[0-9a-fA-F_:.]*[0-9][0-9_:.]*([eE][-+]?[0-9]+)?[0-9a-fA-F]*|[-+]?\.[0-9]+", re.ASCII
)
