"""Schemas of many containers under one set of names: `components/schemas` of the actions document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from edge.api.openapi.keywords import Schema, reduced
from edge.model.codec import encode
from edge.model.descriptions import AgentContainerImage
from edge.model.json_value import JsonValue

_PREFIX = "#/components/schemas/"
_BAD_CHARACTERS = re.compile(r"[^a-zA-Z0-9._-]")
_LONGEST_NAME = 100
_DEFINITION_KEYWORDS = ("$defs", "definitions")


class SchemaComponents:
    """Collects the definitions of containers, each under a name of its own.

    Two containers may define one name differently: the later one gets another name. Equal definitions share theirs.

    Attributes:
        schemas: What was collected, by name.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.schemas: dict[str, Schema] = {}
        self._names: dict[tuple[str, bytes], str] = {}
        self._taken = set(reserved)

    def of(self, image: AgentContainerImage) -> ImageSchemas:
        """Collect an image's definitions and return what finds them."""
        return ImageSchemas(self, image)

    def name_for(self, wanted: str, identity: bytes) -> tuple[str, bool]:
        """Return the component name for a type, and whether it is new, that is, still without a schema.

        Args:
            wanted: The type's name; characters that OpenAPI does not allow are replaced.
            identity: Equal for definitions that mean the same.
        """
        known = self._names.get((wanted, identity))
        if known is not None:
            return known, False
        plain = _BAD_CHARACTERS.sub("_", wanted)[:_LONGEST_NAME] or "_"
        name, number = plain, 2
        while name in self._taken:
            name, number = f"{plain}_{number}", number + 1
        self._taken.add(name)
        self._names[wanted, identity] = name
        self.schemas[name] = {}
        return name, True

    def without_dead_ends(self) -> dict[str, Schema]:
        """Return the schemas; a `$ref` into something that was left out, or only to itself, accepts anything."""
        for name in self.schemas:
            self.schemas[name] = self._mended(self.schemas[name])
        for name in self.schemas:
            seen = {_PREFIX + name}
            schema = self.schemas[name]
            while len(schema) == 1 and str(schema.get("$ref", "")).startswith(_PREFIX):
                if schema["$ref"] in seen:
                    self.schemas[name] = {}
                    break
                seen.add(schema["$ref"])
                schema = self._found(schema["$ref"]) or {}
        return self.schemas

    def _mended(self, part: Any) -> Any:
        if isinstance(part, list):
            return [self._mended(element) for element in part]
        if not isinstance(part, dict):
            return part
        target = part.get("$ref")
        if isinstance(target, str) and target.startswith("#") and self._found(target) is None:
            return {}
        return {key: value if key in ("enum", "default") else self._mended(value) for key, value in part.items()}

    def _found(self, reference: str) -> Schema | None:
        part: Any = self.schemas
        for step in _steps(reference.removeprefix(_PREFIX)):
            if isinstance(part, list):
                part = dict(enumerate(part)).get(int(step)) if step.isdecimal() and len(step) < 9 else None
            elif isinstance(part, dict):
                part = part.get(step)
            else:
                return None
        return part if isinstance(part, dict) else None


class ImageSchemas:
    """The schemas of one image's types."""

    def __init__(self, components: SchemaComponents, image: AgentContainerImage) -> None:
        self._components = components
        self._image = image
        self._all_definitions: bytes | None = None
        for name in (*image.definitions, *image.definitions_by_url):
            self.component(name)

    def defines(self, type_name: str) -> bool:
        """Tell whether the image says what a type is."""
        return type_name in self._image.definitions or type_name in self._image.definitions_by_url

    def component(self, type_name: str) -> str:
        """Return the component name of a type; one that is defined nowhere accepts anything."""
        if type_name in self._image.definitions:
            return self._defined(type_name, self._image.definitions[type_name])
        url = self._image.definitions_by_url.get(type_name)
        name, is_new = self._components.name_for(type_name, b"" if url is None else url.encode())
        if is_new and url is not None and _is_web_link(url):
            self._components.schemas[name] = {"$ref": url}
        return name

    def _defined(self, type_name: str, schema: JsonValue) -> str:
        # Equal definitions mean the same, unless they speak of their image's other definitions.
        identity = encode(schema)
        if b'"#/' in identity:
            if self._all_definitions is None:
                self._all_definitions = encode(self._image.definitions)
            identity += self._all_definitions
        name, is_new = self._components.name_for(type_name, identity)
        if is_new:
            self._write(name, schema, _Document(name, _inner_definitions(schema), identity))
        return name

    def _write(self, name: str, schema: JsonValue, document: _Document) -> None:
        self._components.schemas[name] = reduced(schema, lambda reference: self._resolve(reference, document))

    def _resolve(self, reference: str, document: _Document) -> str | None:
        """Return the component that a `$ref` in a document leads to, made if it is not there yet."""
        if not reference.startswith("#"):
            is_known = reference in self._image.definitions_by_url.values() and _is_web_link(reference)
            return reference if is_known else None
        if reference not in ("#", "#/") and not reference.startswith("#/"):
            return None
        steps = _steps(reference[2:])
        if len(steps) < 2 or steps[0] not in _DEFINITION_KEYWORDS:
            target = document.name
        else:
            wanted, *steps = steps[1:]
            if wanted in document.inner:
                schema = document.inner[wanted]
                target, is_new = self._components.name_for(wanted, encode(schema) + document.identity)
                if is_new:
                    self._write(target, schema, document)
            elif wanted in self._image.definitions:
                target = self.component(wanted)
            else:
                return None
        return "/".join([_PREFIX + target, *(step.replace("~", "~0").replace("/", "~1") for step in steps)])


@dataclass(frozen=True, slots=True)
class _Document:
    """One definition with what stands inside it: where its `#/...` references start.

    Attributes:
        name: Its component.
        inner: What its `$defs` and `definitions` hold; each becomes a component of its own.
        identity: Equal for documents that mean the same.
    """

    name: str
    inner: dict[str, JsonValue]
    identity: bytes


def _inner_definitions(schema: JsonValue) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    if isinstance(schema, dict):
        for keyword in _DEFINITION_KEYWORDS:
            if isinstance(schema.get(keyword), dict):
                found |= schema[keyword]
    return found


def _steps(pointer: str) -> list[str]:
    return [unquote(step).replace("~1", "/").replace("~0", "~") for step in pointer.split("/")] if pointer else []


def _is_web_link(url: str) -> bool:
    return url.startswith(("http://", "https://")) and url.isprintable() and " " not in url
