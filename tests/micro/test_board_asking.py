"""How a board asks: HTTP, names, the time; whoever answers, in bounded time and memory, and nothing stands still."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

# Prints how a request ended, and whether the loop turned meanwhile.
REQUEST = """
import asyncio, json, gc
from opaca_micro.http import request

async def main():
    turns = []

    async def count():
        while True:
            turns.append(1)
            await asyncio.sleep(0.01)

    async def ask():
        try:
            status, body = await request(BASE, "POST", "/containers", b'{"a": 1}', "secret", None, LIMIT)
            print(json.dumps([status, body.decode()[:40], len(body)]))
        except OSError as error:
            print(json.dumps(str(error) or "?"))
        print(json.dumps(len(turns) > 0))
        raise EOFError

    try:
        await asyncio.gather(count(), ask())
    except EOFError:
        pass

asyncio.run(main())
"""


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server for one connection; yields its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


def asked(workbench: Workbench, base: str, limit_ms: int = 5000) -> list[object]:
    """Let a board ask; returns what it printed."""
    return workbench.run(REQUEST.replace("BASE", repr(base)).replace("LIMIT", str(limit_ms)))


def test_a_request_carries_what_a_platform_needs(workbench: Workbench) -> None:
    heard = []

    def answer(connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b'{"a": 1}'):
            data += connection.recv(4096)
        heard.append(data.decode())
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntru")
        connection.sendall(b"e")
        # It does not wait for the connection to end once it has everything.
        assert connection.recv(1) == b""

    with server(answer) as base:
        assert asked(workbench, base) == [[200, "true", 4], True]
    head, _, body = heard[0].partition("\r\n\r\n")
    assert body == '{"a": 1}'
    assert head.splitlines() == [
        "POST /containers HTTP/1.0",
        f"Host: {base.removeprefix('http://')}",
        "Content-Type: application/json",
        "Authorization: Bearer secret",
        "Content-Length: 8",
    ]


def test_an_answer_ends_with_its_length_or_with_the_connection(workbench: Workbench) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        for byte in b"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\nnothing":
            connection.sendall(bytes([byte]))

    with server(answer) as base:
        assert asked(workbench, base) == [[404, "nothing", 7], True]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\xff" * 900,
    ],
    ids=["nothing", "ssh", "no status", "no number", "no end", "noise"],
)
def test_what_is_no_answer_is_an_error(workbench: Workbench, said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    with server(answer) as base:
        error, turned = asked(workbench, base)
    assert isinstance(error, str) and turned is True


def test_an_endless_answer_is_cut_off(workbench: Workbench) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        try:
            while True:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 65536)
        except OSError:
            pass

    with server(answer) as base:
        (status, _, size), _ = asked(workbench, base)  # type: ignore[misc]
    assert status == 200 and size < 3000


def test_who_does_not_answer_is_given_up(workbench: Workbench) -> None:
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass
        ended.set()

    with server(answer) as base:
        assert asked(workbench, base, limit_ms=300) == ["no answer in time", True]
    assert ended.is_set()


def test_who_drips_is_given_up(workbench: Workbench) -> None:
    def answer(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"x")
                connection.settimeout(0.05)
                try:
                    if not connection.recv(4096):
                        return
                except TimeoutError:
                    pass
        except OSError:
            pass

    with server(answer) as base:
        assert asked(workbench, base, limit_ms=500) == ["no answer in time", True]


def test_nobody_there_is_an_error_at_once(workbench: Workbench) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error, _ = asked(workbench, f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert "111" in str(error)


@contextmanager
def answering(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """A UDP server; `answer` turns a datagram into one, or into none. Yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        is_over = threading.Event()

        def serve() -> None:
            while True:
                data, sender = link.recvfrom(2048)
                if is_over.is_set():
                    return
                if (reply := answer(data)) is not None:
                    link.sendto(reply, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield link.getsockname()[1]
        finally:
            is_over.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", link.getsockname())
            thread.join()


RESOLVE = """
import asyncio, json
from opaca_micro import resolve

async def main():
    try:
        print(json.dumps(await resolve.ask("raspberrypi.local", ("127.0.0.1", PORT))))
    except OSError as error:
        print(json.dumps(str(error)))

asyncio.run(main())
"""
NAME = b"\x0braspberrypi\x05local\x00"


def record(name: bytes, kind: int, data: bytes, cls: int = 0x8001) -> bytes:
    return name + struct.pack(">HHIH", kind, cls, 120, len(data)) + data


def dns(query: bytes, *records: bytes, flags: int = 0x8400, questions: int = 1) -> bytes:
    head = query[:2] + struct.pack(">HHHHH", flags, questions, len(records), 0, 0)
    return head + (query[12:] if questions else b"") + b"".join(records)


def resolved(workbench: Workbench, answer: Callable[[bytes], bytes | None]) -> object:
    with answering(answer) as udp_port:
        return workbench.run(RESOLVE.replace("PORT", str(udp_port)))[0]


@pytest.mark.parametrize("name", [NAME, b"\xc0\x0c"], ids=["whole", "pointer"])
def test_a_name_is_found_as_avahi_and_name_servers_answer(workbench: Workbench, name: bytes) -> None:
    queries = []

    def answer(query: bytes) -> bytes:
        queries.append(query[2:])
        return dns(query, record(name, 28, bytes(16)), record(name, 1, bytes([192, 168, 1, 7])))

    assert resolved(workbench, answer) == "192.168.1.7"
    assert queries == [b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + NAME + b"\x00\x01\x00\x01"]


def test_a_question_that_was_lost_is_asked_again(workbench: Workbench) -> None:
    asked: list[bytes] = []

    def answer(query: bytes) -> bytes | None:
        asked.append(query)
        return dns(query, record(NAME, 1, b"\x0a\x00\x00\x07"), questions=0) if len(asked) > 1 else None

    assert resolved(workbench, answer) == "10.0.0.7"


def test_a_name_that_does_not_exist_is_not_waited_for(workbench: Workbench) -> None:
    assert resolved(workbench, lambda query: dns(query, flags=0x8403)) == "there is no raspberrypi.local"


@pytest.mark.timeout(30)
def test_answers_of_strangers_and_torn_ones_are_passed_over(workbench: Workbench) -> None:
    rubbish = [
        lambda query: b"",
        lambda query: dns(b"\x00\x00" + query[2:], record(NAME, 1, b"\x06\x06\x06\x06")),
        lambda query: dns(query, record(NAME, 1, b"\x06\x06\x06\x06"))[:-2],
        lambda query: query[:2] + b"\x84\x00\x00\xff\x00\xff" + b"\xff" * 400,
    ]
    turn = iter(rubbish)
    assert resolved(workbench, lambda query: next(turn)(query)) == "nobody knows the name raspberrypi.local"


CLOCK = """
import asyncio, json, time
from opaca_micro import ntp

async def main():
    try:
        print(json.dumps(abs(await ntp.ask("127.0.0.1", None, PORT) - time.time()) <= 2))
        print(json.dumps(abs(await ntp.set_clock("127.0.0.1", None, PORT)) <= 2))
    except OSError as error:
        print(json.dumps(str(error)))

asyncio.run(main())
"""


def test_the_time_is_asked_of_a_time_server(workbench: Workbench) -> None:
    def answer(query: bytes) -> bytes:
        assert len(query) == 48 and query[0] == 0x1B
        return b"\x1c\x02" + bytes(38) + struct.pack(">II", int(time.time()) + 2208988800, 0)

    with answering(answer) as udp_port:
        assert workbench.run(CLOCK.replace("PORT", str(udp_port))) == [True, True]


@pytest.mark.parametrize(
    "begin", [b"\x1c\x00", b"\x1c\x10", b"\xdc\x02", b"\x1b\x02"], ids=["0", "16", "alarm", "no server"]
)
def test_a_server_that_does_not_know_the_time_is_not_believed(workbench: Workbench, begin: bytes) -> None:
    with answering(lambda query: begin + bytes(38) + struct.pack(">II", 4_000_000_000, 0)) as udp_port:
        assert workbench.run(CLOCK.replace("PORT", str(udp_port))) == ["no time from 127.0.0.1"]


def test_an_answer_without_a_time_is_none(workbench: Workbench) -> None:
    with answering(lambda query: b"\x1c\x02" + bytes(46)) as udp_port:
        assert workbench.run(CLOCK.replace("PORT", str(udp_port))) == ["no time from 127.0.0.1"]


def test_the_time_goes_on_after_2036(workbench: Workbench) -> None:
    ask = "import asyncio\nfrom opaca_micro import ntp\nprint(asyncio.run(ntp.ask('127.0.0.1', None, PORT)))\n"
    with answering(lambda query: b"\x1c\x02" + bytes(38) + struct.pack(">II", 86_400, 0)) as udp_port:
        (seconds,) = workbench.run(ask.replace("PORT", str(udp_port)))
    assert datetime.fromtimestamp(seconds, UTC).isoformat() == "2036-02-08T06:28:16+00:00"


def test_nobody_waits_for_the_time(workbench: Workbench) -> None:
    with answering(lambda query: None) as udp_port:
        (said,) = workbench.run(CLOCK.replace("PORT", str(udp_port)))
    assert said == "no answer from time server 127.0.0.1"
