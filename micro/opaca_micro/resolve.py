"""Names to addresses without standing still: `getaddrinfo` of a board blocks for longer than its watchdog waits.

`<name>.local` is asked for by mDNS (RFC 6762, one-shot query), anything else of the network's name server (RFC 1035).
"""

import asyncio
import os
import socket

from opaca_micro.clock import passed_ms, ticks_ms

_MDNS = ("224.0.0.251", 5353)
_ONCE_MS = 1000
_TIMES = 4
_A = b"\x00\x01\x00\x01"


async def resolve(host, network):
    """Return the IPv4 address of a host as text.

    Args:
        network: Knows the address of the name server.
    Raises:
        OSError: nobody knows the name.
    """
    return await ask(host, _MDNS if host.endswith(".local") else (network.name_server(), 53))


async def ask(host, server):
    """Return the IPv4 address of a name as text.

    Args:
        server: Address and UDP port of a name server, or of the mDNS group.
    Raises:
        OSError: no answer within 4 s, or there is no such name.
    """
    query = os.urandom(2) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    for label in host.split("."):
        query += bytes((len(label),)) + label.encode()
    query += b"\x00" + _A
    address = socket.getaddrinfo(server[0], server[1])[0][-1]
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        link.setblocking(False)
        for _ in range(_TIMES):
            link.sendto(query, address)
            since = ticks_ms()
            while passed_ms(since) < _ONCE_MS:
                try:
                    answer = link.recv(512)
                except OSError:  # nothing yet
                    await asyncio.sleep(0.05)
                    continue
                found = address_in(answer, query)
                if found:
                    return found
                if found is None:
                    raise OSError("there is no " + host)
    finally:
        link.close()
    raise OSError("nobody knows the name " + host)


def address_in(answer, query):
    """Return the first IPv4 address in an answer; "" if there is none, None if the name does not exist."""
    if len(answer) < 12 or answer[:2] != query[:2] or not answer[2] & 0x80:
        return ""
    if answer[3] & 15:
        return None
    at = 12
    for _ in range(answer[5]):
        at = _after_name(answer, at) + 4
    for _ in range(answer[7]):
        at = _after_name(answer, at)
        size = int.from_bytes(answer[at + 8 : at + 10], "big")
        # The highest bit of the class is mDNS's own: "forget what you knew".
        if answer[at : at + 2] == b"\x00\x01" and size == 4 and len(answer) >= at + 14:
            return ".".join([str(byte) for byte in answer[at + 10 : at + 14]])
        at += 10 + size
    return ""


def _after_name(answer, at):
    while at < len(answer) and answer[at]:
        if answer[at] >= 0xC0:
            return at + 2
        at += 1 + answer[at]
    return at + 1
