"""What targets refuse for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.store import Batch, Entry, Event, Fate, Lane, Numbered, Store, dead_letters
from tests.unit.bridge.stores import event, opened

M = Lane.MESSAGE
ODD = Event("POST /send/lamp", b'"odd"', {"forward": "false"}, {"ContainerLoginToken": "x"})


async def killed(store: Store, seq: int, what: Event = ODD, site: str = "here") -> Entry:
    """Take an event and have it refused."""
    await store.inbox.take(site, "s1", M, Batch(seq - 1, seq, [Numbered(seq, what)]))
    (entry,) = await store.inbox.claim(1)
    await store.inbox.dead(entry, 400, "the lamp takes numbers")
    return entry


async def test_a_letter_tells_what_was_refused_and_why_also_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await killed(store, 1)
        assert await store.inbox.claim(1) == []
    async with opened(tmp_path) as store:
        (letter,) = await store.dead_letters.list()
        assert (letter.site, letter.store_id, letter.lane, letter.seq) == ("here", "s1", M, 1)
        assert (letter.event, letter.status, letter.why) == (ODD, 400, "the lamp takes numbers")
        assert store.inbox.fate("here", "s1", M) == Fate(1, dead=1)
        assert (await store.figures()).dead_letters == 1
        assert await store.inbox.claim(1) == []


async def test_a_letter_can_be_played_again_under_a_new_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first = await killed(store, 1)
        (letter,) = await store.dead_letters.list()
        assert await store.dead_letters.replay(letter.letter_id)
        assert not await store.dead_letters.replay(letter.letter_id)
        assert store.inbox.fate("here", "s1", M) == Fate(1)
    async with opened(tmp_path) as store:
        (entry,) = await store.inbox.claim(1)
        assert (entry.event, entry.seq) == (ODD, 1)
        assert [first.idempotency_key, entry.idempotency_key] == ["here/s1/message/1", "here/s1/message/1/1"]
        await store.inbox.done(entry)
        assert await store.dead_letters.list() == []
    async with opened(tmp_path) as store:
        assert store.inbox.fate("here", "s1", M) == Fate(1, played=1)


async def test_a_letter_can_be_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await killed(store, 1)
        (letter,) = await store.dead_letters.list()
        assert await store.dead_letters.drop(letter.letter_id)
        assert not await store.dead_letters.drop(letter.letter_id)
        assert await store.dead_letters.list() == []
        assert store.inbox.fate("here", "s1", M) == Fate(1, dead=1)


async def test_letters_are_listed_from_the_oldest_in_parts(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for seq in range(1, 6):
            await killed(store, seq)
        first = await store.dead_letters.list(most=3)
        second = await store.dead_letters.list(first[-1].letter_id, most=3)
        assert [letter.seq for letter in first + second] == [1, 2, 3, 4, 5]


async def test_only_so_many_letters_are_kept_and_the_others_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_MOST_LETTERS", 3)
    async with opened(tmp_path) as store:
        for seq in range(1, 6):
            await killed(store, seq, event(seq))
        assert [letter.seq for letter in await store.dead_letters.list()] == [3, 4, 5]
        assert store.inbox.fate("here", "s1", M).dead == 5
        assert (await store.figures()).lanes["here", M].missed == {"dead letters full": 2}


async def test_large_letters_are_bounded_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_MOST_BYTES", 2500)
    async with opened(tmp_path) as store:
        for seq in range(1, 5):
            await killed(store, seq, event(seq, size_bytes=1000))
        assert [letter.seq for letter in await store.dead_letters.list()] == [3, 4]
        await killed(store, 5, event(5, size_bytes=10_000))
        assert [letter.seq for letter in await store.dead_letters.list()] == [5]


async def test_a_site_whose_messages_are_all_refused_pushes_out_only_its_own_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_MOST_LETTERS", 5)
    async with opened(tmp_path) as store:
        await killed(store, 1, site="home")
        await killed(store, 2, site="home")
        for seq in range(1, 11):
            await killed(store, seq, site="flood")
        kept = [(letter.site, letter.seq) for letter in await store.dead_letters.list()]
        assert kept == [("home", 1), ("home", 2), ("flood", 8), ("flood", 9), ("flood", 10)]
        assert (await store.figures()).lanes["flood", M].missed == {"dead letters full": 7}
