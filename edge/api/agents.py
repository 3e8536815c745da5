"""Agents: their descriptions, messages, actions and streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge.http.query import EMPTY_QUERY
from edge.http.replies import NOTHING, Reply, StreamReply, json_reply
from edge.http.request import Request
from edge.model.json_value import JsonValue
from edge.model.requests import Message
from edge.runtime.call import Call
from edge.runtime.platform import Platform

_ARGUMENTS = dict[str, JsonValue]


class AgentHandlers:
    """Handlers of `/agents`, `/send`, `/broadcast`, `/invoke` and `/stream`."""

    def __init__(self, platform: Platform) -> None:
        self._directory = platform.directory
        self._forwarding = platform.forwarding
        self._repeats = platform.repeats

    async def list_agents(self, request: Request) -> Reply:
        """`GET /agents`."""
        agents = [agent for container in self._directory.containers for agent in container.description.agents]
        if request.query.boolean("includeConnected", False):
            for peer in self._directory.peers:
                agents += [agent for container in peer.info.containers for agent in container.agents]
        return json_reply(agents)

    async def get_agent(self, request: Request) -> Reply:
        """`GET /agents/{agentId}`; an unknown one is 200 with zero bytes."""
        agent = self._directory.agent(request.parameters["agentId"])
        return NOTHING if agent is None else json_reply(agent)

    async def send(self, request: Request) -> Reply:
        """`POST /send/{agentId}`."""
        call = _call(request)
        agent_id, message = request.parameters["agentId"], await request.json(Message)
        await self._once(call, request, lambda: self._forwarding.send(call, agent_id, message))
        return NOTHING

    async def broadcast(self, request: Request) -> Reply:
        """`POST /broadcast/{channel}`."""
        call = _call(request)
        channel, message = request.parameters["channel"], await request.json(Message)
        await self._once(call, request, lambda: self._forwarding.broadcast(call, channel, message))
        return NOTHING

    async def _once(self, call: Call, request: Request, deliver: Callable[[], Awaitable[None]]) -> None:
        """Deliver a message, unless it is marked and was delivered before."""
        if call.idempotency_key is None:
            await deliver()
            return
        what = f"{request.method} {request.raw_path}"
        await self._repeats.once(call.caller.name, call.idempotency_key, what, deliver)

    async def invoke(self, request: Request) -> Reply:
        """`POST /invoke/{action}` and `POST /invoke/{action}/{agentId}`."""
        call = _call(request)
        arguments = await request.json(_ARGUMENTS)
        parameters = request.parameters
        return json_reply(
            await self._forwarding.invoke(call, parameters["action"], arguments, parameters.get("agentId"))
        )

    async def get_stream(self, request: Request) -> StreamReply:
        """`GET /stream/{stream}` and `GET /stream/{stream}/{agentId}`."""
        stream, agent_id = request.parameters["stream"], request.parameters.get("agentId")
        return StreamReply(self._forwarding.get_stream(_call(request), stream, agent_id))

    async def post_stream(self, request: Request) -> Reply:
        """`POST /stream/{stream}` and `POST /stream/{stream}/{agentId}`."""
        call = _call(request)
        stream, agent_id = request.parameters["stream"], request.parameters.get("agentId")
        await self._forwarding.post_stream(call, stream, request.pieces(), agent_id)
        return NOTHING


def _call(request: Request) -> Call:
    query = request.query
    if query is EMPTY_QUERY:
        return Call(
            caller=request.caller,
            sender_id=request.sender_id,
            event_id=request.call_id,
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
    return Call(
        caller=request.caller,
        container_id=query.text("containerId"),
        forward=query.boolean("forward", True),
        timeout_s=query.integer("timeout", -1),
        sender_id=request.sender_id,
        event_id=request.call_id,
        idempotency_key=request.headers.get("Idempotency-Key"),
    )
