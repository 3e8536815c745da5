"""The load generator: a process of its own that keeps a number of connections busy, one request at a time on each.

It reads sockets by hand with epoll, because a client library would be slower than the server it measures; how busy it
was is part of its answer. Run as `python -m bench.load PORT PATH CONNECTIONS (SECONDS | REQUESTSx)`; prints JSON.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from array import array

from bench.machine import pin_to_core
from bench.servers import LOAD_CORE

BODY = b'{"text":"the quick brown fox","times":3}'
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Failed(Exception):
    """The server answered with something other than success."""


class Load:
    """Closed-loop load over keep-alive connections."""

    def __init__(self, tcp_port: int, path: str, connections: int) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        self._answer_bytes = self._length_of_one_answer(tcp_port)
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        for _ in range(connections):
            sock = self._open(tcp_port)
            self._sockets[sock.fileno()] = sock
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def run(self, seconds: float = 1e9, requests: int = 2**62) -> array[int]:
        """Send until time or number is reached; return the time of each call, in nanoseconds."""
        clock, sockets, answer_bytes = time.perf_counter_ns, self._sockets, self._answer_bytes
        times_ns: array[int] = array("q")
        sent_at: dict[int, int] = {}
        parts: dict[int, bytes] = {}
        for number, sock in sockets.items():
            sent_at[number] = clock()
            sock.sendall(self._request)
        stop_at = clock() + int(seconds * 1e9)
        in_flight = len(sockets)
        while in_flight:
            for number, _ in self._epoll.poll():
                answer = parts.pop(number, b"") + sockets[number].recv(65536)
                if len(answer) < answer_bytes:
                    if not answer or not answer.startswith(b"HTTP/1.1 200"[: len(answer)]):
                        raise Failed(repr(answer))
                    parts[number] = answer
                    continue
                if len(answer) > answer_bytes or not answer.startswith(b"HTTP/1.1 200"):
                    raise Failed(repr(answer))
                now = clock()
                times_ns.append(now - sent_at[number])
                if now < stop_at and len(times_ns) + in_flight <= requests:
                    sent_at[number] = now
                    sockets[number].send(self._request)
                else:
                    in_flight -= 1
        return times_ns

    def _length_of_one_answer(self, tcp_port: int) -> int:
        """All answers have the same number of bytes: same body, and header fields of fixed width."""
        with self._open(tcp_port) as sock:
            sock.sendall(self._request)
            answer = sock.recv(65536)
            length = _LENGTH.search(answer)
            if not answer.startswith(b"HTTP/1.1 200") or length is None:
                raise Failed(repr(answer))
            total = answer.index(b"\r\n\r\n") + 4 + int(length[1])
            while len(answer) < total:
                answer += sock.recv(65536)
            if not answer.endswith(BODY):
                raise Failed(repr(answer))
            return total

    @staticmethod
    def _open(tcp_port: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", tcp_port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def main() -> None:
    tcp_port, path, connections, amount = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    pin_to_core(0, LOAD_CORE)
    load = Load(tcp_port, path, connections)
    warm_up = len(load.run(requests=1000))
    started, busy = time.perf_counter(), time.process_time()
    limit = {"requests": int(amount[:-1])} if amount.endswith("x") else {"seconds": float(amount)}
    times_ns = sorted(load.run(**limit))
    elapsed_s = time.perf_counter() - started
    json.dump(
        {
            "calls": len(times_ns) + warm_up,
            "per_second": len(times_ns) / elapsed_s,
            "p50_ms": times_ns[len(times_ns) // 2] / 1e6,
            "p99_ms": times_ns[len(times_ns) * 99 // 100] / 1e6,
            "generator_busy": (time.process_time() - busy) / elapsed_s,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
