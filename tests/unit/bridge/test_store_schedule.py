"""Which entry is played next."""

from __future__ import annotations

import random

from bridge.store.lanes import Lane
from bridge.store.schedule import Key, Retry, Schedule

LAMP = Key("here", Lane.MESSAGE, "POST /send/lamp")
PUMP = Key("here", Lane.MESSAGE, "POST /send/pump")


def picks(schedule: Schedule, count: int, now_s: float = 0.0) -> list[int]:
    found = (schedule.pick(now_s) for _ in range(count))
    return [pick.row_id for pick in found if pick is not None]


def test_targets_take_turns_and_each_keeps_its_order() -> None:
    schedule = Schedule()
    for row_id in range(1, 7):
        schedule.add(LAMP if row_id < 5 else PUMP, row_id)
    assert picks(schedule, 10) == [1, 5]
    schedule.finish(1)
    schedule.finish(5)
    assert picks(schedule, 10) == [2, 6]
    assert len(schedule) == 4


def test_a_target_that_is_blocked_wakes_when_its_time_has_come() -> None:
    schedule = Schedule()
    schedule.add(LAMP, 1)
    schedule.add(PUMP, 2)
    assert picks(schedule, 2) == [1, 2]
    schedule.again(1, 10.0)
    schedule.again(2, 5.0)
    assert schedule.next_due_s() == 5.0
    assert not schedule.is_ready(4.9)
    assert picks(schedule, 2, 5.0) == [2]
    pick = schedule.pick(10.0)
    assert pick is not None
    assert (pick.row_id, pick.tries, pick.since_s) == (1, 1, 0.0)


def test_tries_count_for_one_entry() -> None:
    schedule = Schedule()
    schedule.add(LAMP, 1)
    schedule.add(LAMP, 2)
    picks(schedule, 1)
    schedule.again(1, 1.0)
    picks(schedule, 1, 1.0)
    schedule.finish(1)
    pick = schedule.pick(2.0)
    assert pick is not None
    assert (pick.row_id, pick.tries, pick.since_s) == (2, 0, 2.0)


def test_sites_take_turns_however_many_targets_each_has() -> None:
    schedule = Schedule()
    for row_id in range(1, 101):
        schedule.add(Key("greedy", Lane.MESSAGE, f"POST /send/{row_id}"), row_id)
    schedule.add(LAMP, 101)
    schedule.add(PUMP, 102)
    assert picks(schedule, 5) == [1, 101, 2, 102, 3]


def test_a_site_whose_targets_hang_leaves_room_for_others_and_goes_on_when_one_ends() -> None:
    schedule, most, both, alarms = Schedule(), 2, tuple(Lane), (Lane.ALARM,)
    for row_id in range(1, 6):
        schedule.add(Key("greedy", Lane.MESSAGE, f"POST /send/{row_id}"), row_id)
    first = [schedule.pick(0.0, both, most) for _ in range(3)]
    assert [pick and pick.row_id for pick in first] == [1, 2, None]
    assert not schedule.is_ready(0.0, both, most)
    schedule.add(LAMP, 10)
    assert schedule.is_ready(0.0, both, most)
    pick = schedule.pick(0.0, both, most)
    assert pick is not None
    assert pick.row_id == 10
    schedule.add(Key("greedy", Lane.ALARM, "POST /send/siren"), 11)
    assert not schedule.is_ready(0.0, both, most)
    pick = schedule.pick(0.0, alarms, most)  # alarms have places of their own
    assert pick is not None
    assert pick.row_id == 11
    schedule.again(1, 5.0)
    schedule.finish(2)
    assert [pick and pick.row_id for pick in (schedule.pick(0.0, both, most) for _ in range(3))] == [3, 4, None]
    schedule.finish(3)
    schedule.forget([5])
    assert not schedule.is_ready(1.0, both, most)
    pick = schedule.pick(5.0, both, most)
    assert pick is not None
    assert pick.row_id == 1


def test_what_is_held_waits_for_its_site() -> None:
    schedule = Schedule()
    schedule.add(LAMP, 1)
    picks(schedule, 1)
    schedule.hold(1)
    schedule.add(LAMP, 2)
    schedule.unhold("elsewhere")
    assert picks(schedule, 1) == []
    schedule.unhold("here")
    assert picks(schedule, 1) == [1]


def test_what_is_forgotten_is_not_picked_but_what_is_in_flight_ends_normally() -> None:
    schedule = Schedule()
    for row_id in (1, 2, 3):
        schedule.add(LAMP, row_id)
    schedule.add(PUMP, 4)
    assert picks(schedule, 1) == [1]
    schedule.forget([1, 2, 4])
    assert picks(schedule, 5) == []
    schedule.finish(1)
    schedule.finish(1)
    assert picks(schedule, 5) == [3]
    schedule.forget([3])
    schedule.finish(3)
    assert len(schedule) == 0


def test_a_blocked_target_can_be_forgotten() -> None:
    schedule = Schedule()
    schedule.add(LAMP, 1)
    picks(schedule, 1)
    schedule.again(1, 5.0)
    schedule.forget([1])
    assert schedule.next_due_s() is None
    schedule.add(LAMP, 2)
    assert picks(schedule, 5) == [2]


def test_neither_messages_nor_telemetry_starve() -> None:
    schedule = Schedule()
    for number in range(100):
        schedule.add(Key("here", Lane.MESSAGE, f"m{number}"), number)
        schedule.add(Key("here", Lane.TELEMETRY, f"t{number}"), 1000 + number)
    first = picks(schedule, 40)
    assert sum(row_id >= 1000 for row_id in first) == 10


def test_every_entry_is_played_once_in_order_whatever_happens(seed: int) -> None:
    chance, schedule = random.Random(seed), Schedule()
    keys = [Key(site, lane, route) for site in "ab" for lane in Lane for route in ("x", "y", "z")]
    added: dict[Key, list[int]] = {key: [] for key in keys}
    played: dict[Key, list[int]] = {key: [] for key in keys}
    in_flight: dict[int, Key] = {}
    held: set[int] = set()
    now_s, row_id = 0.0, 0
    for _ in range(20_000):
        now_s += 0.01
        if chance.random() < 0.3:
            row_id += 1
            key = chance.choice(keys)
            schedule.add(key, row_id)
            added[key].append(row_id)
        elif (pick := schedule.pick(now_s)) is not None:
            assert pick.key not in in_flight.values()
            in_flight[pick.row_id] = pick.key
        if in_flight and chance.random() < 0.4:
            done, key = in_flight.popitem()
            end = chance.choice(["finish", "again", "release", "hold"])
            if end == "finish":
                schedule.finish(done)
                played[key].append(done)
            elif end == "again":
                schedule.again(done, now_s + chance.random())
            elif end == "release":
                schedule.release(done)
            else:
                schedule.hold(done)
                held.add(done)
        if chance.random() < 0.05:
            schedule.unhold(chance.choice("ab"))
    for site in "ab":
        schedule.unhold(site)
    for done, key in in_flight.items():
        schedule.finish(done)
        played[key].append(done)
    while (pick := schedule.pick(now_s + 10)) is not None:
        schedule.finish(pick.row_id)
        played[pick.key].append(pick.row_id)
    assert held
    assert played == added
    assert len(schedule) == 0


def test_what_was_tried_in_vain_says_why_and_when_it_is_tried_next() -> None:
    schedule = Schedule()
    for row_id in (1, 2):
        schedule.add(LAMP, row_id)
    schedule.add(PUMP, 3)
    assert picks(schedule, 2, 1.0) == [1, 3]
    schedule.again(1, 9.0, "403: not yours")
    assert [*schedule.retries()] == [Retry(LAMP, 1, 1, 1.0, 9.0, "403: not yours", 2)]
    assert picks(schedule, 1, 9.0) == [1]
    schedule.finish(1)
    assert [*schedule.retries()] == []  # the next of the same target has not been tried
