"""The platform is killed at any moment while containers come, change and go."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.contract.wire import BadHttp, WireClosed
from tests.system.households import Household, household

# 100 rounds at the full size.
pytestmark = pytest.mark.timeout(1800)

UPDATED = ("updated-1", "updated-2")


class Customer:
    """Asks for changes, and remembers what was answered.

    Attributes:
        there: Containers whose IDs were answered, and their image.
        gone: Containers that were answered to be gone.
        cut: How many requests were not answered.
    """

    def __init__(self, home: Household) -> None:
        self.there: dict[str, str] = {}
        self.gone: set[str] = set()
        self.cut = 0
        self._home = home
        for name in UPDATED:
            home.actor(name, start=f'[env]\nREPORTED = "{name}"\n')
            self.there[home.posted(name)] = name

    def wishes(self, chance: random.Random) -> list[Callable[[], None]]:
        """Return some requests: two to add, two to remove, one for each update."""
        plain = [each for each, image in self.there.items() if image == "actor"]
        found = [self._add, self._add, *(partial(self._update, name) for name in UPDATED)]
        found += [partial(self._remove, each) for each in chance.sample(plain, min(2, len(plain)))]
        chance.shuffle(found)
        return found

    def until_cut(self, wish: Callable[[], None]) -> None:
        try:
            wish()
        except (OSError, WireClosed, BadHttp):
            self.cut += 1

    def is_content(self) -> bool:
        """Tell whether what is there is what was answered; what had no answer may be there or not, but wholly."""
        listed = self.listed()
        plain = {each for each, image in self.there.items() if image == "actor"}
        return (
            plain <= listed.keys()
            and not self.gone & listed.keys()
            and sorted(image for image in listed.values() if image != "actor") == sorted(UPDATED)
            and sorted(self._home.running().values()) == sorted(listed)
        )

    def listed(self) -> dict[str, str]:
        containers = self._home.ask("GET", "/containers").json()
        return {each["containerId"]: each["image"]["imageName"] for each in containers}

    def _add(self) -> None:
        self.there[self._home.posted()] = "actor"

    def _remove(self, container_id: str) -> None:
        del self.there[container_id]
        self._home.deleted(container_id)
        self.gone.add(container_id)

    def _update(self, image: str) -> None:
        [old] = [each for each, its in self.there.items() if its == image]
        answer = self._home.put(image)
        assert answer.status == 200, answer.text
        del self.there[old]
        self.gone.add(old)
        self.there[answer.text] = image


@pytest.mark.parametrize("policy", ["restart", "reconnect"])
def test_what_was_answered_holds_after_a_kill_at_any_moment(
    tmp_path: Path, policy: str, seed: int, at_size: Callable[[int, int], int]
) -> None:
    chance = random.Random(f"{seed} {policy}")
    rounds = at_size(3, 50)
    with household(tmp_path, SESSION_POLICY=policy) as home:
        customer = Customer(home)
        for number in count():
            # On a busy machine a platform may be killed before it has answered anything.
            if number >= rounds and customer.cut and customer.gone:
                break
            assert number < 10 * rounds
            kill_while_busy(home, customer, chance)
            home.start()
            home.settles(customer.is_content, f"round {number}: {customer.__dict__}", timeout_s=30)
            customer.there = customer.listed()  # now it is known what became of what had no answer
            for container_id in customer.there:
                assert home.do(container_id, "Echo", value=1) == 1
        assert len(list((home.folder / "state" / "containers").iterdir())) == len(customer.there)
    print(f"{policy}: {number} kills, {customer.cut} requests had no answer, {len(customer.gone)} containers went")


def kill_while_busy(home: Household, customer: Customer, chance: random.Random) -> None:
    threads = [threading.Thread(target=customer.until_cut, args=(wish,)) for wish in customer.wishes(chance)]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.0, 0.6))
    os.kill(home.process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    home.process.wait()
