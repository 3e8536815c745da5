"""Contacts, buttons and relays: what counts as a movement, and that nothing stays on."""

from __future__ import annotations

import pytest

from micro.flash.virtual import RESET_EXIT, SLEEP_EXIT, WATCHDOG_EXIT
from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

RELAY = """
import asyncio, json
import machine
from opaca_micro.agent import Agent, Failed
from opaca_micro.parts.relay import Relay

def levels():
    return machine.Pin._levels[26]

async def main():
{body}

asyncio.run(main())
"""
WATCHED = """
import asyncio, json
from opaca_micro.parts.{module} import {kind}

def turn(**values):
    with open("host.json", "w") as file:
        json.dump({{"wiring": {{"14": "!button" if "{kind}" == "Button" else "door"}}, "values": values}}, file)

async def main():
{body}

asyncio.run(main())
"""


def program(text: str, body: str, **names: str) -> str:
    return text.format(body="\n".join(f"    {line}" for line in body.strip().splitlines()), **names)


@pytest.mark.parametrize(("active_low", "off"), [(False, 0), (True, 1)])
def test_a_relay_is_off_as_soon_as_it_is_made(workbench: Workbench, active_low: bool, off: int) -> None:
    body = f"""
relay = Relay(26, active_low={active_low})
print(levels())
relay.set(True)
print(levels())
print(json.dumps(relay.is_on()))
relay.set(False)
print(levels())
"""
    assert workbench.run(program(RELAY, body)) == [off, 1 - off, True, off]


def test_a_relay_goes_off_by_itself(workbench: Workbench) -> None:
    body = """
agent = Agent("a")
relay = Relay(26, longest_s=0.2)
relay.offer(agent, "Pump")
relay.set(True)
print(levels())
job = asyncio.create_task(agent.jobs[0]())
while levels():
    await asyncio.sleep(0.02)
print(levels())
"""
    assert workbench.run(program(RELAY, body)) == [1, 0]


def test_a_relay_takes_no_time_longer_than_it_is_allowed(workbench: Workbench) -> None:
    body = """
relay = Relay(26, longest_s=60)
for seconds in (61, 0, -1):
    try:
        relay.set(True, seconds)
        print("true")
    except Failed as error:
        print(json.dumps(str(error)))
print(levels())
"""
    assert workbench.run(program(RELAY, body)) == ["seconds: more than 0 and at most 60"] * 3 + [0]


def test_a_relay_cannot_be_on_for_longer_than_the_board_can_count(workbench: Workbench) -> None:
    body = """
for longest_s in (0, 86401, 1000000):
    try:
        Relay(26, active_low=True, longest_s=longest_s)
    except ValueError as error:
        print(json.dumps([str(error), levels()]))
Relay(26, longest_s=86400)
"""
    expected = ["longest_s: more than 0 and at most 86400", 1]
    assert workbench.run(program(RELAY, body)) == [expected] * 3


def test_a_locked_relay_says_why_and_goes_off(workbench: Workbench) -> None:
    body = """
reasons = []
relay = Relay(26, locked=lambda: reasons and reasons[0])
relay.set(True)
print(levels())
reasons.append("the tank is empty")
try:
    relay.set(True)
except Failed as error:
    print(json.dumps(str(error)))
print(levels())
"""
    assert workbench.run(program(RELAY, body)) == [1, "the tank is empty", 0]


def test_a_relay_goes_off_when_its_program_ends(workbench: Workbench) -> None:
    body = """
relay = Relay(26)
relay.set(True)
try:
    await asyncio.wait_for(relay.watch(), 0.2)
except asyncio.TimeoutError:
    print(levels())
"""
    assert workbench.run(program(RELAY, body)) == [0]


def test_a_contact_tells_each_movement_once(workbench: Workbench) -> None:
    body = """
turn(door=False)
contact = Contact(14)
heard = []
watching = asyncio.create_task(contact.watch(heard.append))
await asyncio.sleep(0.1)
for is_open, count in ((True, 1), (True, 1), (False, 2), (True, 3)):
    turn(door=is_open)
    while len(heard) < count:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)
print(json.dumps(heard))
"""
    assert workbench.run(program(WATCHED, body, module="contact", kind="Contact")) == [[True, False, True]]


def test_a_movement_that_nobody_took_is_told_again(workbench: Workbench) -> None:
    body = """
from opaca_micro.agent import Agent
turn(door=False)
agent = Agent("door")
Contact(14).offer(agent, channel="door")
told = []
async def platform(channel, payload):
    told.append(payload)
    return len(told) > 1
agent.on_broadcast = platform
watching = asyncio.create_task(agent.jobs[0]())
await asyncio.sleep(0.1)
turn(door=True)
while len(told) < 2:
    await asyncio.sleep(0.02)
turn(door=False)
while len(told) < 3:
    await asyncio.sleep(0.02)
print(json.dumps(told))
"""
    assert workbench.run(program(WATCHED, body, module="contact", kind="Contact")) == [[True, True, False]]


def test_a_contact_that_bounces_tells_nothing(workbench: Workbench) -> None:
    body = """
turn(door=False)
contact = Contact(14)
heard = []
looks = []
def bouncing():
    looks.append(1)
    return len(looks) % 3 == 2
contact.is_open = bouncing
watching = asyncio.create_task(contact.watch(heard.append))
while len(looks) < 20:
    await asyncio.sleep(0.02)
print(json.dumps(heard))
"""
    assert workbench.run(program(WATCHED, body, module="contact", kind="Contact")) == [[]]


def test_what_the_authors_function_raises_ends_no_watching(workbench: Workbench) -> None:
    body = """
turn(door=False)
contact = Contact(14)
heard = []
def careless(is_open):
    heard.append(is_open)
    raise ValueError("slip")
watching = asyncio.create_task(contact.watch(careless))
await asyncio.sleep(0.1)
for is_open in (True, False):
    turn(door=is_open)
    while is_open not in heard:
        await asyncio.sleep(0.02)
await asyncio.sleep(0.05)
print(json.dumps(heard))
"""
    done = workbench.end(program(WATCHED, body, module="contact", kind="Contact"))
    assert "[true, false]" in done.stdout
    assert (done.stdout + done.stderr).count("ValueError: slip") == 2


def test_a_button_counts_how_often_it_goes_down(workbench: Workbench) -> None:
    body = """
turn(button=False)
button = Button(14)
watching = asyncio.create_task(button.watch())
await asyncio.sleep(0.1)
for is_down, count in ((True, 1), (False, 1), (True, 2), (False, 2)):
    turn(button=is_down)
    while button.count() < count:
        await asyncio.sleep(0.02)
    # Nothing shows that it has been seen up.
    await asyncio.sleep(0.3)
print(json.dumps([button.count(), button.is_pressed()]))
"""
    assert workbench.run(program(WATCHED, body, module="button", kind="Button")) == [[2, False]]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("machine.reset()", RESET_EXIT),
        ("machine.deepsleep(10)", SLEEP_EXIT),
        ("machine.WDT(timeout=50); time.sleep(5)", WATCHDOG_EXIT),
    ],
)
def test_a_stand_in_resets_as_a_board_does(workbench: Workbench, ending: str, code: int) -> None:
    """Nothing after it runs, no `finally` either; only what is outside can keep an output off."""
    done = workbench.end(f"""
import machine, time
try:
    {ending}
finally:
    print("too late")
""")
    assert (done.returncode, done.stdout) == (code, "")


def test_deep_sleep_ends_when_the_pin_moves(workbench: Workbench) -> None:
    done = workbench.end(
        "import esp32, machine\nesp32.wake_on_ext0(machine.Pin(14, machine.Pin.IN), 1)\nmachine.deepsleep()\n",
        wiring={"14": "door"},
        values={"door": True},
    )
    assert done.returncode == SLEEP_EXIT
    woken = "import machine\nprint(machine.wake_reason() == machine.PIN_WAKE)\n"
    assert workbench.end(woken, reset_cause="deepsleep").stdout.strip() == "True"


def test_a_program_may_ask_how_much_memory_is_left(workbench: Workbench) -> None:
    [free_bytes] = workbench.run("import gc, machine\ngc.collect()\nprint(gc.mem_free())\n")
    assert free_bytes > 10_000


def test_a_watchdog_whose_time_is_its_own_is_fed_all_the_same(workbench: Workbench) -> None:
    """As on an ESP8266, which takes no time: `TypeError` before MicroPython 1.23, since then `ValueError`."""
    program = """
import json, machine

class WDT:
    def __init__(self, **given):
        if given:
            raise ERROR
        print(json.dumps("made"))

    def feed(self):
        print(json.dumps("fed"))

machine.WDT = WDT

from opaca_micro.watchdog import Watchdog

Watchdog().feed()
"""
    for error in ("TypeError", "ValueError"):
        assert workbench.run(program.replace("ERROR", error)) == ["made", "fed"]
