"""The command itself: finds the verb, imports what it needs and nothing else, and turns its end into an exit code."""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from edge import __version__

if TYPE_CHECKING:
    import argparse


class Verb(NamedTuple):
    """One verb: where it is and what it is for."""

    module: str
    purpose: str
    example: str


VERBS = {
    "run": Verb("run", "run a platform", "opaca-edge run --port 8000"),
    "demo": Verb("demo", "show two joined platforms and a board on this machine", "opaca-edge demo --port 8000"),
    "agents run": Verb("agents_run", "run a container of agents alone", "opaca-edge agents run my_module:container"),
    "info": Verb("info", "show what the platform is", "opaca-edge info"),
    "agents": Verb("agents", "list agents and what they offer", "opaca-edge agents system"),
    "invoke": Verb("invoke", "invoke an action", "opaca-edge invoke GetCpu interval_s=2 --agent system"),
    "send": Verb("send", "send a message to an agent", """opaca-edge send lamp '{"level": 3}'"""),
    "broadcast": Verb("broadcast", "send a message to a channel", "opaca-edge broadcast news 'Rain is near'"),
    "stream": Verb("stream", "follow a stream, or feed one", "opaca-edge stream Status --agent system"),
    "history": Verb("history", "show the last events", "opaca-edge history"),
    "events": Verb("events", "follow events as they happen", "opaca-edge events -f /invoke /send"),
    "containers": Verb("containers", "list containers and how they are doing", "opaca-edge containers --watch"),
    "containers add": Verb("containers_add", "start or attach a container", "opaca-edge containers add pump PIN=17"),
    "containers update": Verb(
        "containers_update", "replace the running container of an image", "opaca-edge containers update pump:1.3 PIN=17"
    ),
    "containers remove": Verb("containers_remove", "stop containers", "opaca-edge containers remove pump"),
    "containers notify": Verb(
        "containers_notify", "have a container described anew", "opaca-edge containers notify pump"
    ),
    "containers logs": Verb("containers_logs", "show what a container writes", "opaca-edge containers logs -f pump"),
    "containers top": Verb("containers_top", "show what containers take, live", "opaca-edge containers top"),
    "connections": Verb(
        "connections", "list connected platforms and how they are doing", "opaca-edge connections --json"
    ),
    "connections add": Verb(
        "connections_add", "connect to another platform", "opaca-edge connections add http://192.168.1.9:8000"
    ),
    "connections remove": Verb(
        "connections_remove", "disconnect from a platform", "opaca-edge connections remove http://192.168.1.9:8000"
    ),
    "connections notify": Verb(
        "connections_notify",
        "have a connected platform described anew",
        "opaca-edge connections notify http://192.168.1.9:8000",
    ),
    "boards list": Verb("boards_list", "list boards and how they are doing", "opaca-edge boards list --watch"),
    "boards add": Verb(
        "boards_add", "make the token and the settings of a board", "opaca-edge boards add greenhouse-1 -o opaca.json"
    ),
    "boards rotate": Verb(
        "boards_rotate", "give a board another token", "opaca-edge boards rotate greenhouse-1 -o opaca.json"
    ),
    "boards virtual": Verb(
        "boards_virtual", "run a board here, without hardware", "opaca-edge boards virtual greenhouse-1"
    ),
    "boards remove": Verb(
        "boards_remove", "remove boards, their tokens and containers", "opaca-edge boards remove greenhouse-1"
    ),
    "bridge status": Verb(
        "bridge_status", "show links, sites and lanes of the bridge", "opaca-edge bridge status --watch"
    ),
    "bridge queue": Verb("bridge_queue", "list what waits and what was refused", "opaca-edge bridge queue greenhouse"),
    "bridge replay": Verb("bridge_replay", "play refused messages again", "opaca-edge bridge replay 17 18"),
    "bridge drop": Verb("bridge_drop", "forget refused or waiting messages", "opaca-edge bridge drop 17"),
    "bridge test": Verb("bridge_test", "say what is wrong with the bridge's broker", "opaca-edge bridge test"),
    "bridge run": Verb("bridge_run", "run the bridge alone, beside a platform", "opaca-edge bridge run"),
    "broker init": Verb("broker_init", "set up a Mosquitto for sites", "opaca-edge broker init --gateway cloud"),
    "broker run": Verb("broker_run", "run the broker in the foreground", "opaca-edge broker run"),
    "broker add": Verb("broker_add", "let a site connect", "opaca-edge broker add greenhouse -o greenhouse.password"),
    "broker renew": Verb("broker_renew", "renew the broker's certificate in time", "opaca-edge broker renew"),
    "broker remove": Verb("broker_remove", "let a site connect no more", "opaca-edge broker remove greenhouse"),
    "images": Verb("images", "list what containers can be started from", "opaca-edge images"),
    "login": Verb("login", "log in at a platform", "opaca-edge login --user eve"),
    "users": Verb("users", "list who may use a platform", "opaca-edge users"),
    "users add": Verb("users_add", "make a user", "opaca-edge users add eve --role contributor"),
    "users role": Verb("users_role", "give a user another role", "opaca-edge users role eve guest"),
    "users passwd": Verb("users_passwd", "give a user another password", "opaca-edge users passwd eve"),
    "users remove": Verb("users_remove", "remove users", "opaca-edge users remove eve"),
    "service install": Verb("service_install", "run as a service from now on", "opaca-edge service install"),
    "service status": Verb("service_status", "show how the service is doing", "opaca-edge service status"),
    "service logs": Verb("service_logs", "show what the service writes", "opaca-edge service logs -f"),
    "service uninstall": Verb("service_uninstall", "end the service, keep its state", "opaca-edge service uninstall"),
    "backup": Verb("backup", "keep a copy of all that must survive", "opaca-edge backup /media/usb/pi.tar.gz"),
    "restore": Verb("restore", "put a backup in place", "opaca-edge restore /media/usb/pi.tar.gz"),
    "tls init": Verb("tls_init", "make an authority and a certificate for a LAN", "opaca-edge tls init --name pi.lan"),
    "tls renew": Verb("tls_renew", "make a new certificate of that authority", "opaca-edge tls renew --days 400"),
    "tls show": Verb("tls_show", "show how long certificates are valid", "opaca-edge tls show --json"),
    "config show": Verb("config_show", "show all settings and where they come from", "opaca-edge config show"),
    "version": Verb("version", "show versions", "opaca-edge version"),
}

# Understood before the verb as well as after it, with whether a value follows.
_ANYWHERE = {"--url": True, "--token": True, "--ca-file": True, "--json": False}


class VerbModule(Protocol):
    """What the module of a verb offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, arguments: argparse.Namespace) -> None:
        """Do it. `Failed` and `BadSetting` are shown to the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: Words after `opaca-edge`; None takes those of this process.
    """
    try:
        return _answer(_verb_first(list(sys.argv[1:] if arguments is None else arguments)))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _output_closed()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _disk_full(error)


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text(), flush=True)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        words = ["version", *words[1:]]
    name = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]
    if name not in VERBS:
        if words[-1] in ("-h", "--help") and _group(name):
            print(help_text(name), flush=True)
            return 0
        _complain(_unknown(name))
        return 2
    return _run(name, words[len(name.split()) :])


def help_text(group: str = "") -> str:
    """Return what `opaca-edge --help` prints, or with the first word of some verbs what is said of them."""
    from edge.cli.failures import EXIT_CODES

    shown = _group(group) if group else list(VERBS)
    widest = max(map(len, shown))
    verbs = "\n".join(f"  {name.ljust(widest)}  {VERBS[name].purpose}" for name in shown)
    return (
        f"usage: opaca-edge VERB ...\n\nOPACA Edge {__version__}: agents on small computers.\n\n{verbs}\n\n"
        f"opaca-edge VERB --help tells more of a verb, with an example.\n{EXIT_CODES}"
    )


def _run(name: str, words: list[str]) -> int:
    from edge.cli.failures import ExitCode, Failed
    from edge.settings import BadSetting

    module = cast(VerbModule, importlib.import_module(f"edge.cli.{VERBS[name].module}"))
    try:
        # Options may stand between the words of a list: invoke SetLevel --agent lamp level=3.
        arguments = _parser(name, module).parse_intermixed_args(words)
    except SystemExit as end:  # argparse has said why
        sys.stdout.flush()
        return int(end.code or 0)
    for stream in (sys.stdout, sys.stderr):
        # What the terminal has no letter for is escaped instead of ending the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        module.run(arguments)
        sys.stdout.flush()
    except Failed as failed:
        _complain(failed.message)
        return failed.exit_code
    except BadSetting as error:
        _complain(str(error))
        return ExitCode.USAGE
    except PermissionError as error:
        if error.filename is None:
            raise
        _complain(f"{error.filename}: {error.strerror}; run this as the user whose it is, or with sudo")
        return ExitCode.FAILED
    return ExitCode.OK


def _parser(name: str, module: VerbModule) -> argparse.ArgumentParser:
    import argparse

    from edge.cli.failures import EXIT_CODES

    verb = VERBS[name]
    parser = argparse.ArgumentParser(
        prog=f"opaca-edge {name}",
        description=verb.purpose[0].upper() + verb.purpose[1:] + ".",
        epilog=f"example: {verb.example}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def _verb_first(words: list[str]) -> list[str]:
    """Move options that stand before the verb behind it."""
    early: list[str] = []
    while words and words[0].partition("=")[0] in _ANYWHERE:
        takes = 2 if _ANYWHERE[words[0].partition("=")[0]] and "=" not in words[0] else 1
        early += words[:takes]
        words = words[takes:]
    verb_words = 2 if " ".join(words[:2]) in VERBS else 1
    return words[:verb_words] + early + words[verb_words:]


def _group(word: str) -> list[str]:
    """Return the verbs that begin with a word."""
    return [verb for verb in VERBS if verb.split()[0] == word]


def _unknown(name: str) -> str:
    from edge.settings import nearest

    if group := _group(name):
        return f"{name} needs another word: {', '.join(group)}"
    return f"there is no verb {name!r}{nearest(name, VERBS)}; opaca-edge --help lists them"


def _complain(message: str) -> None:
    from edge.cli.tables import printable_lines

    is_coloured = False
    if sys.stderr.isatty():
        from edge.config import environment, is_colour_wanted

        is_coloured = is_colour_wanted(environment())
    prefix = "\x1b[31merror:\x1b[0m " if is_coloured else "error: "
    print(prefix + printable_lines(message), file=sys.stderr)


def _output_closed() -> int:
    """End quietly but honestly when the reader of our output has gone."""
    from edge.cli.failures import ExitCode

    _drop_output()
    _complain("whoever read the output has stopped reading")
    return ExitCode.OUTPUT_CLOSED


def _disk_full(error: OSError) -> int:
    """Say that what was written, the output or a file, found no room."""
    from edge.cli.failures import ExitCode

    _drop_output()
    where = f"{error.filename}: " if error.filename else ""
    _complain(f"{where}{error.strerror}; what was to be written is not complete: make room, then do this again")
    return ExitCode.FAILED


def _drop_output() -> None:
    """Let what is not written yet go: Python flushes once more at its end, which must not fail again."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
