"""Actions documents for tests: containers made in one line, and what every such document must hold to."""

from __future__ import annotations

import json
from typing import Any

from openapi_spec_validator import validate

from edge.api.openapi.actions import actions_document
from edge.api.openapi.rendering import as_json
from edge.model.descriptions import Action, AgentContainer, AgentContainerImage, AgentDescription, Parameter
from edge.model.json_value import JsonValue


def container(
    actions: list[Action],
    definitions: dict[str, JsonValue] | None = None,
    by_url: dict[str, str] | None = None,
    container_id: str = "c-77",
    agent_id: str = "lamp1",
) -> AgentContainer:
    image = AgentContainerImage(image_name="i", definitions=definitions or {}, definitions_by_url=by_url or {})
    agent = AgentDescription(agent_id=agent_id, actions=actions)
    since = "2026-04-21T13:13:39.120Z"
    return AgentContainer(container_id=container_id, image=image, agents=[agent], running_since=since)


def act(name: str = "Act", **types: str) -> Action:
    return Action(name=name, parameters={key: Parameter(type=value) for key, value in types.items()})


def document(*containers: AgentContainer, require_auth: bool = False) -> dict[str, Any]:
    made = actions_document(containers, require_auth)
    text = as_json(made)
    assert '"description": null' not in text
    assert json.loads(text) == made
    local = {target for target in refs(made) if target.startswith("#")}
    assert {target for target in local if not reaches(made, target)} == set(), "a $ref that leads nowhere"
    validate(without_remote(made))
    return made


def refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [target for value in part.values() for target in refs(value)]
    return [target for element in part for target in refs(element)] if isinstance(part, list) else []


def reaches(made: dict[str, Any], target: str) -> bool:
    part: Any = made
    for step in target[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        part = part[int(step)] if isinstance(part, list) else part.get(step)
        if part is None:
            return False
    return True


def without_remote(part: Any) -> Any:
    """The validator would load what is referenced by URL."""
    if isinstance(part, dict):
        if str(part.get("$ref", "")).startswith("http"):
            return {}
        return {key: without_remote(value) for key, value in part.items()}
    return [without_remote(element) for element in part] if isinstance(part, list) else part


def schemas_of(definitions: dict[str, JsonValue]) -> dict[str, Any]:
    return document(container([act()], definitions))["components"]["schemas"]
