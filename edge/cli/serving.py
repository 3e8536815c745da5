"""Running a server until a signal asks it to stop; for `run` and `agents run`."""

from __future__ import annotations

import asyncio
import copy
import errno
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, TypeGuard

from edge.cli.failures import Failed
from edge.config import LogLevel, environment
from edge.errors import OpacaError
from edge.settings import BadSetting

Serve: TypeAlias = Callable[[asyncio.Event], Awaitable[None]]


def serve_until_signal(serve: Serve, tcp_port: int, setting: str = "--port") -> None:
    """Run a server; SIGINT and SIGTERM set its stop event, a second signal ends the process at once.

    Args:
        serve: Serves until the event is set.
        tcp_port: Where it listens, to say who has the port if it is taken.
        setting: What names another port.
    Raises:
        Failed: its address cannot be listened on, or a part of it failed.
    """

    async def until_signal() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask_to_stop(number: signal.Signals) -> None:
            logging.getLogger(__name__).info("%s: stopping", number.name)
            stop.set()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask_to_stop, number)
        await serve(stop)

    from edge.agents.watchdog import watched_loop

    try:
        with asyncio.Runner(loop_factory=watched_loop) as runner:
            runner.run(until_signal())
    except (OSError, OpacaError, BaseExceptionGroup) as error:
        first = _first(error)
        if isinstance(first, OpacaError):
            raise Failed(first.message) from error
        if isinstance(first, BadSetting):
            raise first from error
        if is_about_address(first):
            raise Failed(address_problem(first, tcp_port, setting)) from error
        raise


_ADDRESS_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


def is_about_address(error: BaseException) -> TypeGuard[OSError]:
    """Tell whether an address cannot be listened on; what names a file is about that."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _ADDRESS_ERRORS


def address_problem(error: OSError, tcp_port: int, setting: str = "--port") -> str:
    """Say why an address cannot be listened on, and what names another."""
    if error.errno == errno.EADDRINUSE:
        from edge.cli.port_owner import port_owner

        owner = port_owner(tcp_port)
        return (
            f"port {tcp_port} is taken{f' by {owner}' if owner else ''}; stop that or choose another with {setting}"
            " (0 takes a free one)"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {tcp_port} needs more rights: choose one from 1024 up with {setting}"
    setting = "--host" if setting == "--port" else setting
    return f"the address to listen on is none of this machine's; choose another with {setting} ({error.strerror})"


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def set_up_log(level: LogLevel) -> None:
    """Send log lines to the standard error output; under systemd with its priorities and without the time."""
    if environment().get("JOURNAL_STREAM"):
        form = "<%(priority)s>%(name)s: %(message)s"
        logging.setLogRecordFactory(_with_priority)
    else:
        form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines(form, datefmt="%H:%M:%S"))
    logging.basicConfig(level=level.value, handlers=[handler])
    logging.captureWarnings(True)


class PlainLines(logging.Formatter):
    """Writes messages so that whatever others have put into them is neither a line of its own nor a command."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines: further ones are indented, what would control a terminal is shown as an escape."""
        message = record.getMessage()
        if message.isprintable():
            return super().format(record)
        from edge.cli.tables import printable_lines

        plain = copy.copy(record)
        plain.msg, plain.args = printable_lines(message).replace("\n", "\n    "), None
        return super().format(plain)


def _with_priority(*args: object, **kwargs: object) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
    # The numbers of syslog, which the journal reads from the beginning of a line.
    record.priority = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3}.get(record.levelname, 2)
    return record


def find_modules_in(folder: Path) -> None:
    """Let `my_module:container` be found in a folder."""
    # Last, unlike beside a script: a user's queue.py must not stand in for the one that everything else imports.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
