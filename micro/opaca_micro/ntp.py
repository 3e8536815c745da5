"""The date, from a time server where one can be reached. Nothing on a board needs it, and it is never waited for."""

import asyncio
import socket
import time

from opaca_micro.clock import passed_ms, ticks_ms
from opaca_micro.http import address_of

# Seconds from 1900, where NTP begins, to 1970; some firmware counts from 2000.
_TO_1970 = 2208988800
_TO_2000 = 3155673600
_LIMIT_MS = 3000
# In February 2036 the seconds begin anew at 0 (RFC 4330, 3): what lies before 2024 means a time after that.
_YEAR_2024 = 3913056000


async def set_clock(host, network, udp_port=123):
    """Set the board's clock by a time server, and return by how many seconds it was behind.

    Raises:
        OSError: the server did not answer, or does not know the time itself.
    """
    import machine

    seconds = await ask(host, network, udp_port)
    ahead_s = seconds - time.time()
    now = time.gmtime(seconds)
    machine.RTC().datetime((now[0], now[1], now[2], now[6], now[3], now[4], now[5], 0))
    return ahead_s


async def ask(host, network, udp_port=123):
    """Return the time of a server, in seconds since the board's own epoch.

    Raises:
        OSError: it did not answer, or does not know the time itself.
    """
    address = await address_of(host, udp_port, network)
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        link.setblocking(False)
        link.sendto(b"\x1b" + bytes(47), address)
        since = ticks_ms()
        while True:
            try:
                answer = link.recv(48)
                break
            except OSError:
                if passed_ms(since) > _LIMIT_MS:
                    raise OSError("no answer from time server " + host)
            await asyncio.sleep(0.05)
    finally:
        link.close()
    # Stratum 0 says "I do not know", 16 "not synchronised", as do the first two bits; the last three are a server's.
    is_answer = len(answer) >= 48 and answer[0] & 7 == 4 and answer[0] < 0xC0 and 0 < answer[1] < 16
    seconds = int.from_bytes(answer[40:44], "big") if is_answer else 0
    if not seconds:
        raise OSError("no time from " + host)
    if seconds < _YEAR_2024:
        seconds += 1 << 32
    return seconds - (_TO_1970 if time.gmtime(0)[0] == 1970 else _TO_2000)
