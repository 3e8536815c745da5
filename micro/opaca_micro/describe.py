"""How a container describes itself (contract, 4.1), in pieces: whole, a description may not fit into what is free."""

import time

from opaca_micro.values import encode


def container(about):
    """Yield the text of `/info`."""
    yield '{"containerId": ' + encode(about.container_id) + ', "owner": ' + encode(about.owner)
    yield ', "arguments": {}, "connectivity": null, "runningSince": "%04d-%02d-%02dT%02d:%02d:%02d.000Z"' % tuple(
        time.gmtime(about.started_s)[:6]
    )
    yield ', "image": {"requires": [], "extraPorts": {}, "parameters": [], "definitionsByUrl": {}, "apiPort": '
    yield str(about.api_port)
    for key, value in (
        ("imageName", about.image_name),
        ("name", about.name),
        ("version", about.version),
        ("description", about.description),
        ("provides", about.provides),
        ("definitions", about.definitions),
    ):
        yield ', "' + key + '": '
        yield encode(value)
    yield ', "provider": null, "url": null}, "agents": '
    yield from agents(about)
    yield "}"


def agents(about):
    """Yield the text of `/agents`."""
    before = "["
    for one in about.agents:
        yield before
        yield from agent(one)
        before = ", "
    yield "]" if about.agents else "[]"


def agent(one):
    """Yield the text of one agent's description."""
    yield '{"agentId": ' + encode(one.agent_id) + ', "agentType": ' + encode(one.agent_type)
    yield ', "description": '
    yield encode(one.description)
    before = ', "actions": ['
    for name, _, description, parameters, result in one.actions:
        yield before
        yield '{"name": ' + encode(name) + ', "description": '
        yield encode(description)
        yield ', "parameters": {'
        between = ""
        for key in parameters:
            yield between + encode(key) + ": "
            yield _parameter(parameters[key])
            between = ", "
        yield '}, "result": '
        yield _parameter(result)
        yield "}"
        before = ", "
    yield '], "streams": [' if one.actions else before + '], "streams": ['
    before = ""
    for name, _, mode, description in one.streams:
        yield before
        yield '{"name": ' + encode(name) + ', "mode": "' + mode + '", "description": ' + encode(description) + "}"
        before = ", "
    yield "]}"


def _parameter(declared):
    if declared is None:
        return "null"
    if isinstance(declared, str):
        declared = {"type": declared}
    if "required" not in declared:
        declared = dict(declared)
        declared["required"] = True
    return encode(declared)
