"""How a verb ends: exit codes, and errors said so that the next step is clear."""

from __future__ import annotations

import json
from enum import IntEnum

from edge.errors import CalleeError, Cause, OpacaError, RemoteError, Unreachable


class ExitCode(IntEnum):
    """What the command tells the shell."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


EXIT_CODES = "exit codes: 0 done, 1 the call failed, 2 wrong usage, 3 platform not reachable, 130 interrupted"


class Failed(Exception):
    """The verb cannot do what it was asked for.

    Attributes:
        message: What is wrong, and what to do next; may have several lines.
        exit_code: What to tell the shell.
    """

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def failure_of(error: OpacaError, url: str) -> Failed:
    """Say what a call to the platform at `url` ended with."""
    _, never_reached, reason = error.message.partition(" cannot be reached: ")
    if isinstance(error, Unreachable) and never_reached:
        return Failed(
            f'nothing answers at {url}: start a platform with "opaca-edge run" or name one with --url\n  ({reason})',
            ExitCode.UNREACHABLE,
        )
    if isinstance(error, RemoteError) and error.cause is not None:
        return Failed(_said(error.cause, url))
    code = ExitCode.UNREACHABLE if isinstance(error, Unreachable) else ExitCode.FAILED
    hint = "; is it an OPACA platform?" if isinstance(error, CalleeError) and code is ExitCode.FAILED else ""
    return Failed(error.message + hint, code)


def _said(cause: Cause, url: str) -> str:
    """Return what the platform answered, its innermost reason last."""
    status, message = cause.status, _generic_text(cause)
    if status == 401:
        said = f": {message}" if message else ""
        return (
            f'{url} wants to know who is calling{said}\n  log in with "opaca-edge login --url {url}", or give --token'
        )
    if status == 403:
        reason = "role too low" if message in ("", "Forbidden") else message
        return (
            f"{url} does not allow this to you: {reason}\n"
            f'  "opaca-edge login --url {url} --user NAME" makes you another user'
        )
    lines = [message or f"{url} answered {status} without a reason"]
    inner = cause.cause
    while inner is not None:
        reason = inner.message or f"status {inner.status}"
        if reason not in lines[-1]:  # many parties repeat what they were told
            lines.append(f"{'  ' * len(lines)}because: {reason}")
        inner = inner.cause
    return "\n".join(lines)


def _generic_text(cause: Cause) -> str:
    """Return the reason of an error in OPACA's generic form, which arrives as text (contract, section 1.3)."""
    text = cause.message or ""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    return str(body["error"]) if isinstance(body, dict) and "error" in body else text
