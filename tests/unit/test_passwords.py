"""Passwords: their hashes, and that checking them tells nothing and blocks nobody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from edge.errors import Overloaded
from edge.runtime.passwords import EMPTY, LOCKED, Passwords
from tests.architecture import ROOT


async def test_a_password_fits_its_hash_and_no_other() -> None:
    async with Passwords() as passwords:
        stored = await passwords.hash("sésame €")
        assert stored.startswith("$scrypt$ln=14,r=8,p=1$")
        assert stored != await passwords.hash("sésame €")
        assert await passwords.fits("sésame €", stored)
        assert not await passwords.fits("sesame €", stored)
        assert not await passwords.fits("", stored)


@pytest.mark.parametrize("stored", [None, LOCKED, "", "plain", "$scrypt$ln=14,r=8,p=1$AAAA", "$2a$10$abcdefghijkl"])
async def test_nothing_fits_what_is_no_hash(stored: str | None) -> None:
    async with Passwords() as passwords:
        for password in ("", "!", "plain"):
            assert not await passwords.fits(password, stored)


async def test_the_empty_password_has_a_hash_that_was_made_before() -> None:
    async with Passwords() as passwords:
        assert await passwords.fits("", EMPTY)
        assert not await passwords.fits(" ", EMPTY)


async def test_the_parameters_of_a_hash_are_its_own() -> None:
    import hashlib
    from base64 import b64encode

    digest = hashlib.scrypt(b"old", salt=b"salt", n=2**10, r=8, p=2, dklen=64)
    stored = f"$scrypt$ln=10,r=8,p=2${b64encode(b'salt').decode()}${b64encode(digest).decode()}"
    async with Passwords() as passwords:
        assert not await passwords.fits("new", stored)
        assert await passwords.fits("old", stored)


@pytest.mark.parametrize("password", ["x" * 5000, "\ud800", "\0"])
async def test_no_password_is_too_strange(password: str) -> None:
    async with Passwords() as passwords:
        assert not await passwords.fits(password, None)


async def test_the_loop_goes_on_meanwhile() -> None:
    async with Passwords() as passwords:
        turns = 0
        hashing = asyncio.gather(passwords.hash("a"), passwords.hash("b"))
        while not hashing.done():
            await asyncio.sleep(0.001)
            turns += 1
        await hashing
    assert turns > 10


async def test_an_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    async with Passwords() as passwords:
        stored = await passwords.hash("right")

        async def fastest(against: str | None) -> float:
            taken = []
            for _ in range(5):
                began_s = time.thread_time() + time.process_time()
                await passwords.fits("wrong", against)
                taken.append(time.thread_time() + time.process_time() - began_s)
            return min(taken)

        known, unknown = await fastest(stored), await fastest(None)
    assert 0.5 < known / unknown < 2.0


_HASHING = """
import asyncio, os
from edge.runtime.passwords import Passwords

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def main():
    async with Passwords() as passwords:
        await passwords.hash("a")
        before = resident_bytes()
        for _ in range(3):
            await passwords.hash("a")
        print(resident_bytes() - before)

asyncio.run(main())
"""


def test_the_memory_for_it_is_given_back() -> None:
    """In a process of its own: here other tests have hashed before."""
    grown = subprocess.run(
        [sys.executable, "-c", _HASHING], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert int(grown) < 4 * 1024 * 1024


async def test_only_so_many_may_wait() -> None:
    async with Passwords() as passwords:
        waiting = [asyncio.get_running_loop().create_task(passwords.fits("x", None)) for _ in range(32)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await passwords.fits("x", None)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not await passwords.fits("x", None)
