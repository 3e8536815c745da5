"""Other platforms: connect, disconnect, have them described anew."""

from __future__ import annotations

from edge.errors import BrokenRequest, UnsupportedContent
from edge.http.replies import Reply, boolean_reply, json_reply
from edge.http.request import Request
from edge.model.requests import ConnectionRequest
from edge.runtime.call import Call
from edge.runtime.platform import Platform


class ConnectionHandlers:
    """Handlers of `/connections` and `/edge/connections`."""

    def __init__(self, platform: Platform) -> None:
        self._directory = platform.directory
        self._connections = platform.connections

    async def list_connections(self, request: Request) -> Reply:
        """`GET /connections`: base URLs, from memory."""
        return json_reply([peer.url for peer in self._directory.peers])

    async def statuses(self, request: Request) -> Reply:
        """`GET /edge/connections`: how they are doing, for the command and for operators."""
        return json_reply(self._connections.statuses())

    async def connect(self, request: Request) -> Reply:
        """`POST /connections`."""
        return boolean_reply(await self._connections.connect(_call(request), await request.json(ConnectionRequest)))

    async def disconnect(self, request: Request) -> Reply:
        """`DELETE /connections`; another type of body is 400 here (contract, section 1.2)."""
        try:
            wish = await request.json(ConnectionRequest)
        except UnsupportedContent as error:
            raise BrokenRequest(error.message) from error
        return boolean_reply(await self._connections.disconnect(_call(request), wish))

    async def notify(self, request: Request) -> Reply:
        """`POST /connections/notify`."""
        return boolean_reply(await self._connections.notify(await request.text()))


def _call(request: Request) -> Call:
    return Call(caller=request.caller, sender_id=request.sender_id, event_id=request.call_id)
