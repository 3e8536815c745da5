"""The platform that a client verb talks to."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from edge.cli.failures import ExitCode, Failed, failure_of
from edge.cli.output import Output
from edge.config import ClientConfig
from edge.errors import BadInput, OpacaError
from edge.model.codec import decode
from edge.model.descriptions import AgentContainer, AgentDescription
from edge.transport.authorities import Authorities, BadAuthorities
from edge.transport.http import HttpClient, HttpTransport, Kind, Query

T = TypeVar("T")

# For what a platform answers from memory, or passes on without waiting for a result.
ANSWER_S = 30.0
Work: TypeAlias = "Callable[[Platform, Output], Awaitable[None]]"


class Platform:
    """One platform over HTTP."""

    def __init__(self, client: HttpClient, config: ClientConfig) -> None:
        self.client = client
        self.config = config
        self.transport: HttpTransport = client.transport(config.url, token=config.token, kind=Kind.PLATFORM)

    def with_token(self, token: str) -> Platform:
        """Return the same platform, called with another token."""
        return Platform(self.client, replace(self.config, token=token))

    async def get(self, path: str, model: type[T], query: Query = ()) -> T:
        """Return the document at a path; unknown keys in it are passed over."""
        async with self.patience(ANSWER_S):
            body = await self.transport.request("GET", path, query)
        try:
            return decode(body, model, set())
        except BadInput as error:
            raise Failed(f"{self.config.url}{path}: {error.message}; is it an OPACA platform?") from error

    @asynccontextmanager
    async def patience(self, limit_s: float) -> AsyncIterator[None]:
        """Fail if what is asked inside is not answered in time."""
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            raise Failed(f"{self.config.url} did not answer within {limit_s:g} s", ExitCode.UNREACHABLE) from error

    async def agents(self, container_id: str | None = None) -> list[AgentDescription]:
        """Return the agents that can be called: those of a local container, or all, connected platforms included."""
        if container_id is not None:
            async with self.patience(ANSWER_S):
                body = await self.transport.request("GET", "/containers/" + quote(container_id, safe=""))
            if body:
                return decode(body, AgentContainer, set()).agents
        return await self.get("/agents", list[AgentDescription], (("includeConnected", "true"),))


def client_arguments(parser: argparse.ArgumentParser, *, has_json: bool = True, has_token: bool = True) -> None:
    """Add the options that all client verbs have; `has_token` is False for the verb that gets one."""
    group = parser.add_argument_group("platform")
    group.add_argument("--url", metavar="URL", help="base URL (else OPACA_EDGE_URL, else http://127.0.0.1:8000)")
    if has_token:
        group.add_argument("--token", metavar="TOKEN", help="bearer token (else OPACA_EDGE_TOKEN, else that of login)")
    else:
        parser.set_defaults(token=None)
    group.add_argument("--ca-file", metavar="FILE", help="authorities to trust with https (else OPACA_EDGE_CA_FILE)")
    if has_json:
        parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def platform_url(arguments: argparse.Namespace) -> str:
    """Return the base URL of the platform that a verb is about."""
    return ClientConfig.load({"OPACA_EDGE_URL": arguments.url}).url


def call_platform(arguments: argparse.Namespace, work: Work, *, is_anonymous: bool = False) -> None:
    """Do a verb's work with an open connection; errors become `Failed`.

    Args:
        is_anonymous: Whether no token is sent, wherever there is one.
    """
    config = ClientConfig.load(
        {
            "OPACA_EDGE_URL": arguments.url,
            "OPACA_EDGE_TOKEN": arguments.token,
            "OPACA_EDGE_CA_FILE": arguments.ca_file,
        }
    )
    if is_anonymous:
        config = replace(config, token="")
    output = Output(getattr(arguments, "json", False), config.is_colour_wanted)
    authorities = Authorities(config.ca_file)
    try:
        authorities.check()
    except BadAuthorities as error:
        raise Failed(str(error), ExitCode.USAGE) from error

    async def connected() -> None:
        async with HttpClient(authorities=authorities) as client:
            await work(Platform(client, config), output)

    try:
        asyncio.run(connected())
    except BaseExceptionGroup as group:
        raise _translated(_first(group), config.url) from group
    except OpacaError as error:
        raise failure_of(error, config.url) from error


def _first(error: BaseException) -> BaseException:
    """Return the first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _translated(error: BaseException, url: str) -> BaseException:
    return failure_of(error, url) if isinstance(error, OpacaError) else error


def json_or_text(text: str) -> Any:
    """Return the JSON value that a text is, else the text itself."""
    from edge.errors import Undecodable
    from edge.model.codec import decode_value

    try:
        return decode_value(text.encode())
    except (Undecodable, UnicodeEncodeError):
        return text
