"""Containers: what runs, and the wishes to start, update, stop and describe anew."""

from __future__ import annotations

from edge.http.replies import NOTHING, Reply, boolean_reply, json_reply, text_reply
from edge.http.request import Request
from edge.model.requests import Login, PostAgentContainer
from edge.runtime.call import Call
from edge.runtime.platform import Platform


class ContainerHandlers:
    """Handlers of `/containers`."""

    def __init__(self, platform: Platform) -> None:
        self._directory = platform.directory
        self._deployment = platform.deployment
        self._logins = platform.logins

    async def list_containers(self, request: Request) -> Reply:
        """`GET /containers`, from memory."""
        return json_reply([container.description for container in self._directory.containers])

    async def get_container(self, request: Request) -> Reply:
        """`GET /containers/{id}`; an unknown one is 200 with zero bytes."""
        container = self._directory.container(request.parameters["id"])
        return NOTHING if container is None else json_reply(container.description)

    async def add(self, request: Request) -> Reply:
        """`POST /containers`."""
        timeout_s = request.query.integer("timeout", -1)
        wish = await request.json(PostAgentContainer)
        container_id = await self._deployment.add(wish, timeout_s, request.caller)
        return text_reply(container_id, request.accept)

    async def update(self, request: Request) -> Reply:
        """`PUT /containers`."""
        timeout_s = request.query.integer("timeout", -1)
        wish = await request.json(PostAgentContainer)
        container_id = await self._deployment.update(wish, timeout_s, request.caller)
        return text_reply(container_id, request.accept)

    async def remove(self, request: Request) -> Reply:
        """`DELETE /containers/{id}`."""
        return boolean_reply(await self._deployment.remove(request.parameters["id"], request.caller))

    async def notify(self, request: Request) -> Reply:
        """`POST /containers/notify`."""
        return boolean_reply(await self._deployment.notify(await request.text(), request.caller))

    async def login(self, request: Request) -> Reply:
        """`POST /containers/login/{id}`: the token as the container wrote it."""
        login = await request.json(Login)
        return text_reply(await self._logins.login(_call(request), request.parameters["id"], login), request.accept)

    async def logout(self, request: Request) -> Reply:
        """`POST /containers/logout/{id}`."""
        return boolean_reply(await self._logins.logout(_call(request), request.parameters["id"]))


def _call(request: Request) -> Call:
    return Call(caller=request.caller, sender_id=request.sender_id, event_id=request.call_id)
