"""What a container answers (contract, 3.1 and 3.4). No input and output here: REST, MQTT and serial line call it."""

import gc
import time

from opaca_micro import describe
from opaca_micro.agent import Failed
from opaca_micro.calling import Pieces, call, reason_of, show
from opaca_micro.request import (
    JSON,
    NO_MEMORY,
    USUAL_S,
    Refused,
    asked,
    error_answer,
    fit,
    limit_s,
    must_be,
    object_of,
    unescaped,
)
from opaca_micro.values import encode

# Bytes. Where there is not enough memory, a larger body than this has its part in it: the caller can send less.
_SMALL = 128


class Container:
    """All agents of a board, and the answer to every request.

    Args:
        config: Its `container_id` and `owner`, where it has them, hold until the board is attached; `name` is the
            board's.
        agents: Instances of `Agent`.

    Attributes:
        token: What callers must show; empty: they need none.
        on_change: Called when the description has changed.
    """

    def __init__(self, config, agents, image_name="board", description="", version="1", provides=(), definitions=None):
        self.container_id = getattr(config, "container_id", "")
        self.owner = getattr(config, "owner", "")
        self.api_port = getattr(config, "port", 80)
        self.token = ""
        self.agents = list(agents)
        self.image_name = image_name
        self.name = getattr(config, "name", image_name)
        self.description = description
        self.version = version
        self.provides = provides
        self.definitions = definitions or {}
        self.started_s = time.time()
        self.on_change = None
        for agent in self.agents:
            agent.on_change = self._changed

    def _changed(self):
        if self.on_change:
            self.on_change()

    def admits(self, headers):
        """Whether the caller shows our token; takes as long for a nearly right one as for a wrong one."""
        if not self.token:
            return True
        given = headers.get("authorization", "").encode()
        expected = ("Bearer " + self.token).encode()
        difference = len(given) ^ len(expected)
        for at in range(len(given)):
            difference |= given[at] ^ expected[at % len(expected)]
        return not difference

    async def answer(self, method, path, query, headers, body):
        """Answer a request.

        Args:
            path: As it came, still escaped, without the query.
            headers: Names in lower case.
            body: Bytes.

        Returns:
            Status, content type (None for none) and body: bytes, a generator of text to be joined, or, for a stream, an
            asynchronous iterator of bytes that are sent as they come.
        """
        try:
            if not self.admits(headers):
                raise Refused(403, "this board is called through its platform: its token is missing or wrong")
            parts = [unescaped(part) for part in path.split("/")[1:]]
            return await self._routed(method, parts, query or "", headers, body)
        except Refused as refused:
            return error_answer(refused.status, str(refused))
        except MemoryError:
            gc.collect()
            return error_answer(413 if len(body) > _SMALL else 500, NO_MEMORY)
        except Exception as error:  # noqa: BLE001 - the author's code must not end the program
            if not isinstance(error, Failed):
                show(error)
            return error_answer(500, reason_of(error))

    async def _routed(self, method, parts, query, headers, body):
        route = parts[0]
        count = len(parts)
        if count == 1 and route in ("info", "agents", "login", "logout"):
            must_be(method, "POST" if route[0] == "l" else "GET")
            if route == "info":
                return 200, JSON, describe.container(self)
            if route == "agents":
                return 200, JSON, describe.agents(self)
            return await self._login(body, headers) if route == "login" else (200, JSON, b"false")
        if count == 2 and route == "agents":
            must_be(method, "GET")
            return 200, JSON, describe.agent(self._agent(parts[1]))
        if count == 2 and route in ("send", "broadcast"):
            must_be(method, "POST")
            return await self._deliver(route == "send", parts[1], object_of(body, headers))
        agent_id = parts[2] if count == 3 else asked(query, "agent_id")
        if count in (2, 3) and route == "invoke":
            must_be(method, "POST")
            return await self._invoke(parts[1], agent_id, object_of(body, headers), limit_s(query))
        if count in (2, 3) and route == "stream":
            return await self._stream(method, parts[1], agent_id, body)
        raise Refused(404, "no such path")

    def _agent(self, agent_id):
        for agent in self.agents:
            if agent.agent_id == agent_id:
                return agent
        raise Refused(404, "no agent " + repr(agent_id))

    def _candidates(self, agent_id):
        return [self._agent(agent_id)] if agent_id else self.agents

    async def _invoke(self, name, agent_id, arguments, seconds):
        for agent in self._candidates(agent_id):
            for action in agent.actions:
                if action[0] == name:
                    fit(arguments, action[3])
                    result = await call(action[1], (), arguments, seconds)
                    return 200, JSON, encode(result).encode()
        raise Refused(404, "no action " + repr(name))

    async def _deliver(self, is_for_one, target, message):
        reply_to = message.pop("replyTo", None)
        payload = message.pop("payload", None)
        if message or isinstance(reply_to, (dict, list)):
            raise Refused(422, "a message has payload and replyTo, the latter a text")
        if reply_to is None:
            reply_to = ""
        elif not isinstance(reply_to, str):
            reply_to = encode(reply_to)
        if is_for_one:
            hearers = [self._agent(target).on_message]
        else:
            hearers = [hear for agent in self.agents for channel, hear in agent.channels if channel == target]
        failure = None
        for hear in hearers:
            if hear:
                try:
                    await call(hear, (payload, reply_to), {}, USUAL_S)
                except Exception as error:  # noqa: BLE001 - the others shall hear it all the same
                    failure = error
        if failure:
            raise failure
        return 200, None, b""

    async def _stream(self, method, name, agent_id, body):
        other = None
        for agent in self._candidates(agent_id):
            for stream in agent.streams:
                if stream[0] == name and stream[2] == method:
                    if method == "GET":
                        return 200, "application/octet-stream", Pieces(stream[1]())
                    await call(stream[1], (body,), {}, USUAL_S)
                    return 200, None, b""
                if stream[0] == name:
                    other = stream[2]
        must_be(method, other or ("POST" if method == "POST" else "GET"))
        raise Refused(404, "no stream " + repr(name))

    async def _login(self, body, headers):
        login = object_of(body, headers)
        for agent in self.agents:
            if agent.on_login:
                token = await call(agent.on_login, (login.get("username"), login.get("password")), {}, USUAL_S)
                if token:
                    return 200, "text/plain;charset=UTF-8", token.encode()
                raise Refused(401, "wrong user or password")
        raise Refused(501, "this board knows no users")
