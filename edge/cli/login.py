"""`login`: show once who is calling, for all verbs that follow."""

from __future__ import annotations

import argparse

from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.passwords import ask_password, password_arguments
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments, platform_url
from edge.config import environment
from edge.errors import RemoteError
from edge.kept_tokens import forget_token, keep_token, token_file
from edge.model.requests import Login


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `login` takes."""
    parser.add_argument("--user", metavar="NAME", default="admin", help="who you are there (admin)")
    parser.add_argument("--forget", action="store_true", help="remove the token that is kept instead")
    password_arguments(parser)
    client_arguments(parser, has_json=False, has_token=False)


def run(arguments: argparse.Namespace) -> None:
    """Exchange name and password for a token that lasts ten hours, and keep that."""
    url = platform_url(arguments)
    path = token_file(environment(), url)
    if arguments.forget:
        print(f"logged out of {url}" if forget_token(path) else f"there was no token for {url}")
        return
    password = ask_password(arguments, f"Password of {arguments.user} at {url}")

    async def login(platform: Platform, output: Output) -> None:
        async with platform.patience(ANSWER_S):
            try:
                token = await platform.transport.login(Login(username=arguments.user, password=password))
            except RemoteError as error:
                if error.cause is not None and error.cause.status == 403:
                    raise Failed(f"{url}: there is no user {arguments.user} with this password") from error
                raise
            # The first token lasts an hour, the one for it ten.
            longer = await platform.with_token(token.strip()).transport.request("GET", "/token")
        try:
            keep_token(path, longer.decode("ascii").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"the token cannot be kept in {path}: {error}") from error
        output.line(f"logged in at {url} as {arguments.user} for ten hours")

    call_platform(arguments, login, is_anonymous=True)
