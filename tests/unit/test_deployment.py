"""Containers come and go while others do, callers leave and disks fill up."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from edge.errors import NotFound, NotReady, NotStored, ParameterMismatch, Undecodable
from edge.model.descriptions import AgentContainerImage
from edge.model.requests import PostAgentContainer
from tests.unit.deploying import launched, until, wish, works


async def test_an_id_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
        assert at.rows() == at.listed() == [container_id]
        stored = at.session.get(container_id)
        assert stored is not None
        assert stored.is_confirmed


async def test_what_is_listed_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        confirm, listed = at.session.change, []

        async def change(container_id: str, **fields: object) -> None:
            listed.append(at.listed())
            await confirm(container_id, **fields)

        at.session.change = change  # type: ignore[method-assign]
        container_id = await at.deployment.add(wish(), 0)
        assert listed == [[]]
        assert at.listed() == [container_id]


async def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        at.stage.failures["pump"] = NotReady("it did not come up")
        with pytest.raises(NotReady):
            await at.deployment.add(wish(), 0)
        assert at.rows() == at.listed() == []


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (wish("unknown"), NotFound),
        (wish(type="DOCKER"), ParameterMismatch),
        (wish(type="nothing"), Undecodable),
        (wish(type=1), Undecodable),
        (wish("needy"), ParameterMismatch),
        (PostAgentContainer(image=AgentContainerImage("unknown", requires=["agent:X"])), ParameterMismatch),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, wanted: PostAgentContainer, error: type[Exception]
) -> None:
    async with works(tmp_path) as at:
        at.stage.required["needy"] = ["config:x", "agent:Nobody"]
        with pytest.raises(error):
            await at.deployment.add(wanted, 0)
        assert not any(word.startswith("start") for word in at.stage.told)
        assert at.session.all() == ()


async def test_without_a_disk_nothing_is_started(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        at.break_disk()
        with pytest.raises(NotStored):
            await at.deployment.add(wish(), 0)
        assert not any(word.startswith("start") for word in at.stage.told)


async def test_a_container_that_cannot_be_confirmed_is_stopped(tmp_path: Path) -> None:
    """The disk became full while it came up."""
    async with works(tmp_path) as at:
        at.stage.hold = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            adding = tasks.create_task(_error_of(at.deployment.add(wish(), 0)))
            await until(lambda: "start pump" in at.stage.told)
            at.break_disk()
            at.stage.hold.set()
        assert isinstance(adding.result(), NotStored)
        assert at.listed() == []
        assert at.stage.running == {}
        at.break_disk(False)
        await until(lambda: at.rows() == [], "it is forgotten as soon as there is space")


async def test_a_caller_who_leaves_cancels_nothing(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        at.stage.hold = asyncio.Event()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await at.deployment.add(wish(), 0)
        at.stage.hold.set()
        await until(lambda: len(at.listed()) == 1 and at.rows() == at.listed())


async def test_a_caller_who_leaves_at_once_cancels_nothing(tmp_path: Path) -> None:
    """Not even while it is looked at what the image requires."""
    async with works(tmp_path) as at, asyncio.TaskGroup() as tasks:
        asked = asyncio.Event()

        async def requirements(wanted: PostAgentContainer) -> list[str]:
            asked.set()
            await asyncio.sleep(0.01)
            return []

        at.stage.requirements = requirements  # type: ignore[method-assign]
        adding = tasks.create_task(at.deployment.add(wish(), 0))
        await asked.wait()
        adding.cancel()
        await until(lambda: len(at.listed()) == 1)


async def test_a_failure_that_nobody_waits_for_is_no_complaint(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        at.stage.hold = asyncio.Event()
        at.stage.failures["pump"] = NotReady("it did not come up")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await at.deployment.add(wish(), 0)
        at.stage.hold.set()
        await until(lambda: at.rows() == [])


async def test_one_that_is_removed_while_it_is_confirmed_is_not_listed_again(tmp_path: Path) -> None:
    """It is listed, so that it can be removed, an instant before its ID is answered."""
    async with works(tmp_path) as at:
        original = at.stage.start

        async def start(order: object, **more: object) -> object:
            found = await original(order, **more)  # type: ignore[arg-type]
            assert await at.deployment.remove(found.description.container_id)
            return found

        at.stage.start = start  # type: ignore[method-assign,assignment]
        with pytest.raises(NotReady, match="was stopped at once"):
            await at.deployment.add(wish(), 0)
        assert at.listed() == []
        await until(lambda: at.rows() == [])


async def test_one_that_ended_before_it_was_confirmed_is_not_listed_again(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        original = at.stage.start

        async def start(order: object, **more: object) -> object:
            found = await original(order, **more)  # type: ignore[arg-type]
            at.deployment.vanished(found.description.container_id)
            return found

        at.stage.start = start  # type: ignore[method-assign,assignment]
        with pytest.raises(NotReady):
            await at.deployment.add(wish(), 0)
        assert at.listed() == []
        await until(lambda: at.rows() == [])


async def test_what_is_kept_while_it_is_confirmed_is_not_lost(tmp_path: Path) -> None:
    """A container that ends at once gets a new process just when its ID is being kept."""
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(at.deployment.keep(container_id, {"pid": number}))
                if number == 10:
                    tasks.create_task(at.session.change(container_id, owner="eve"))
        stored = at.session.get(container_id)
        assert stored is not None
        assert (stored.is_confirmed, stored.owner, stored.launch) == (True, "eve", {"pid": 19})
    async with works(tmp_path) as at:
        assert at.session.get(container_id) == stored


async def test_removing_is_on_the_disk_before_anything_is_stopped(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
        at.stage.end_hold = asyncio.Event()
        assert await at.deployment.remove(container_id)
        stored = at.session.get(container_id)
        assert stored is not None
        assert stored.is_removed
        assert at.rows() == [container_id]  # so that what may still run is found after a kill
        assert not await at.deployment.remove(container_id)
        at.stage.end_hold.set()
        await until(lambda: at.rows() == [])


async def test_a_removal_that_cannot_be_kept_says_so_and_holds_for_now(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
        at.break_disk()
        with pytest.raises(NotStored, match="was stopped"):
            await at.deployment.remove(container_id)
        assert at.stage.running == {}
        assert at.listed() == []
        assert not await at.deployment.remove(container_id)
        at.break_disk(False)
        await until(lambda: at.rows() == [], "it is forgotten when there is space again")


async def test_two_who_remove_the_same_container_do_not_disturb_each_other(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
        answers = await asyncio.gather(*(at.deployment.remove(container_id) for _ in range(3)))
        assert any(answers)
        assert at.stage.running == {}
        await until(lambda: at.rows() == [])


async def test_one_that_is_stored_but_not_up_can_be_removed(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
    async with works(tmp_path) as at:
        assert at.listed() == []
        assert await at.deployment.remove(container_id)
        await until(lambda: at.rows() == [])


async def test_one_that_is_removed_while_it_describes_itself_stays_away(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)

        async def describe(asked: str) -> object:
            await at.deployment.remove(asked)
            return launched(asked)

        at.stage.describe = describe  # type: ignore[method-assign,assignment]
        assert not await at.deployment.notify(container_id)
        assert at.listed() == []


async def test_an_update_confirms_the_new_and_dismisses_the_old_together(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        old = await at.deployment.add(wish(), 0, file="a.json")
        at.stage.end_hold = asyncio.Event()
        new = await at.deployment.update(wish(), 0)
        assert at.listed() == [new]
        stored = {each.container_id: each for each in at.session.all()}
        assert (stored[old].is_removed, stored[new].is_confirmed) == (True, True)
        assert stored[new].file == "a.json"  # or it would be started once more with the platform
        assert at.stage.told[-2:] == ["start pump", "stop pump"]
        at.stage.end_hold.set()
        await until(lambda: at.rows() == [new])


async def test_an_update_that_cannot_be_kept_leaves_the_old_one(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        old = await at.deployment.add(wish(), 0)
        at.stage.hold = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            updating = tasks.create_task(_error_of(at.deployment.update(wish(), 0)))
            await until(lambda: at.stage.told.count("start pump") == 2)
            at.break_disk()
            at.stage.hold.set()
        assert isinstance(updating.result(), NotStored)
        assert at.listed() == list(at.stage.running) == [old]
        at.break_disk(False)
        await until(lambda: at.rows() == [old])
        stored = at.session.get(old)
        assert stored is not None
        assert not stored.is_removed


async def test_an_exclusive_update_that_fails_brings_the_old_one_back_where_it_was(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        at.stage.exclusive.add("pump")
        old = await at.deployment.add(wish(), 0)
        await at.deployment.keep(old, {"api_port": 20001})
        at.stage.failures["pump"] = NotReady("it did not come up")
        original = at.stage.start

        async def start(order: object, **more: object) -> object:
            if more:
                at.stage.failures.clear()
            return await original(order, **more)  # type: ignore[arg-type]

        at.stage.start = start  # type: ignore[method-assign,assignment]
        with pytest.raises(NotReady):
            await at.deployment.update(wish(), 0)
        assert at.stage.told[-3:] == ["suspend pump", "start pump", "start pump kept"]
        assert at.stage.records[old] == {"api_port": 20001}
        assert at.listed() == list(at.stage.running) == at.rows() == [old]


async def test_only_one_update_at_a_time(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        await at.deployment.add(wish(), 0)
        ids = await asyncio.gather(*(at.deployment.update(wish(), 0) for _ in range(5)))
        assert len(set(ids)) == 5
        assert at.listed() == [ids[-1]] == list(at.stage.running)


@pytest.mark.parametrize("count", [0, 2])
async def test_an_update_needs_exactly_one(tmp_path: Path, count: int) -> None:
    async with works(tmp_path) as at:
        for _ in range(count):
            await at.deployment.add(wish(), 0)
        with pytest.raises(ParameterMismatch, match=f"{count} containers of image pump run"):
            await at.deployment.update(wish("pump:2"), 0)


async def test_what_the_platform_does_not_run_is_not_updated(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        at.deployment.appeared(launched("c-1", "pump", "bundled"))
        with pytest.raises(ParameterMismatch, match="is bundled"):
            await at.deployment.update(wish(), 0)


async def test_coming_and_going_is_in_the_log_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge.runtime.deployment")
    async with works(tmp_path) as at:
        container_id = await at.deployment.add(wish(), 0)
        at.deployment.appeared(launched(container_id))
        at.deployment.vanished(container_id)
        at.deployment.vanished(container_id)
    assert [record.getMessage() for record in caplog.records] == [
        f"container pump ({container_id}) runs",
        f"container pump ({container_id}) is gone",
    ]


async def _error_of(work: object) -> BaseException | None:
    try:
        await work  # type: ignore[misc]
    except Exception as error:
        return error
    return None
