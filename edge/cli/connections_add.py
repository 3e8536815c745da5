"""`connections add`: connect a platform to another one."""

from __future__ import annotations

import argparse
import sys

from edge.cli.connections_known import answer_of, manage
from edge.cli.failures import ExitCode, Failed, failure_of
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.errors import RemoteError
from edge.model.requests import ConnectionRequest

# A platform that connects back is asked twice.
_ANSWER_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `connections add` takes."""
    parser.add_argument("platform", metavar="URL", help="base URL of the other platform, as the first one reaches it")
    parser.add_argument(
        "--connect-back", action="store_true", help="have the other platform connect to this one as well"
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument("--peer-token", metavar="TOKEN", help="token for calls to the other platform, if it wants one")
    token.add_argument("--token-stdin", action="store_true", help="read that token from the standard input")
    token.add_argument("--logged-in", action="store_true", help="use the one that opaca-edge login --url URL keeps")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Connect."""
    wish = ConnectionRequest(url=arguments.platform, connect_back=arguments.connect_back, token=token_of(arguments))

    async def connect(platform: Platform, output: Output) -> None:
        try:
            is_new = answer_of(await manage(platform, "POST", wish, _ANSWER_S))
        except RemoteError as error:
            raise _with_advice(error, arguments.platform) from error
        if output.is_json:
            output.json(is_new)
        elif is_new:
            output.line(f"{arguments.platform} is connected")
        else:
            more = "; a token that was given is used from now on" if wish.token else ""
            output.line(f"{arguments.platform} was connected already, or is the platform itself{more}")

    call_platform(arguments, connect)


def _with_advice(error: RemoteError, url: str) -> RemoteError | Failed:
    """Say how to log in where the other platform wants to know who is calling."""
    if error.cause is None or error.cause.cause is None or error.cause.cause.status != 401:
        return error
    advice = f'log in there with "opaca-edge login --url {url}", then do this again with --logged-in'
    return Failed(f"{failure_of(error, url).message}\n  {advice}")


def token_of(arguments: argparse.Namespace) -> str | None:
    """Return the token for the other platform, None if none was given."""
    if getattr(arguments, "logged_in", False):
        return _kept_token(arguments.platform)
    if not arguments.token_stdin:
        return arguments.peer_token or None
    token = sys.stdin.read().strip()
    if not token:
        raise Failed("--token-stdin: the standard input is empty", ExitCode.USAGE)
    return token


def _kept_token(url: str) -> str:
    from edge.config import environment
    from edge.kept_tokens import read_token, token_file

    token = read_token(token_file(environment(), url.rstrip("/")))
    if not token:
        raise Failed(f"--logged-in: no token for {url} is kept here; opaca-edge login --url {url}", ExitCode.USAGE)
    return token
