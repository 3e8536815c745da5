"""Asking for a password: on the terminal without echo, or from the standard input; never as an argument."""

from __future__ import annotations

import argparse
import sys

from edge.cli.failures import ExitCode, Failed


def password_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option that takes the password from elsewhere than the terminal."""
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input: ... < password-file"
    )


def ask_password(arguments: argparse.Namespace, prompt: str, *, is_new: bool = False) -> str:
    """Return a password that the user gives.

    Args:
        arguments: May name the standard input.
        prompt: What to ask for.
        is_new: Whether it is asked for twice, so that a slip is noticed.
    Raises:
        Failed: nothing was given, or two different ones were.
    """
    if arguments.password_stdin:
        # One line break ends it; blanks belong to it.
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise Failed("no terminal to ask for the password: give it with --password-stdin", ExitCode.USAGE)
    from getpass import getpass

    try:
        password = getpass(f"{prompt}: ")
        if is_new and getpass(f"{prompt} once more: ") != password:
            raise Failed("these were two different passwords")
    except EOFError:
        raise Failed("no password was given") from None
    return password
