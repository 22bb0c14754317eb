"""Several workers behind one line: what one of them suffers costs the images of the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from generation.errors import ConfigurationError
from generation.jobs.job import Status
from generation.jobs.protocol import GenerateCommand
from generation.models.catalog import Catalog
from generation.requests.spec import GenerationRequest
from generation.scheduling.members import Members
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import ADA, Place, opened_with
from tests.patience import PATIENCE_S

CATALOG = Catalog.open("paintbox")


def worker_at(place: Place, name: str) -> InProcessWorker:
    [worker] = [each.worker for each in place.pool.members if each.name == name]
    assert isinstance(worker, InProcessWorker)
    return worker


def held_by(place: Place, name: str) -> set[str]:
    state = place.generation.members.get(name)
    return set(state.held) if state else set()


@asynccontextmanager
async def hall(folder: Path, names: str = "xy", *, num_slots: int = 2, is_held: bool = False) -> AsyncIterator[Place]:
    """Open a place with several workers, each on a card of its own kind."""
    workers = [
        InProcessWorker(CATALOG.models, card=f"card {name}", num_slots=num_slots, is_held=is_held) for name in names
    ]
    pool = WorkerPool([Member(name=name, worker=worker) for name, worker in zip(names, workers, strict=True)])
    async with opened_with(folder, pool, catalog=CATALOG) as place:
        await settled(lambda: all(each.fingerprint for each in place.generation.members))
        yield place


async def settled(true: Callable[[], object]) -> None:
    """Wait until something that no job says has come about."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0)


async def test_two_workers_share_one_line_and_each_picture_names_its_painter(tmp_path: Path) -> None:
    async with hall(tmp_path) as place:
        jobs = [await place.submit(f"picture {number}", count=4) for number in range(3)]
        done = [await place.finished(job) for job in jobs]
        painters = {
            image.id: image.recipe.fingerprint.facts["engine"] for job in done for image in job.images if image.recipe
        }
        assert len(painters) == 12
        for name in "xy":
            own = {each.image_id for each in worker_at(place, name).admitted}
            assert own, "each takes its part"
            assert {painters[image_id] for image_id in own} == {f"card {name}"}
        sha256 = {image.recipe.model_sha256 for job in done for image in job.images if image.recipe}
        assert sha256 == set(worker_at(place, "x").model_sha256.values())


async def test_the_death_of_one_costs_the_images_of_the_others_nothing(tmp_path: Path) -> None:
    async with hall(tmp_path, is_held=True) as place:
        job = await place.submit(count=4)
        await settled(lambda: len(held_by(place, "x")) == len(held_by(place, "y")) == 2)
        lost, kept = held_by(place, "x"), held_by(place, "y")
        worker_at(place, "x").lose()
        worker_at(place, "y").hold(False)
        done = await place.finished(job)
        assert {image.status for image in done.images} == {Status.DONE}
        assert {image.id: image.attempt for image in done.images} == dict.fromkeys(kept, 1) | dict.fromkeys(lost, 2)
        assert {image.recipe.fingerprint.facts["engine"] for image in done.images if image.recipe} == {"card y"}


async def test_a_suspect_has_one_worker_to_itself_and_the_others_go_on(tmp_path: Path) -> None:
    async with hall(tmp_path, "xyz", num_slots=1, is_held=True) as place:
        suspect = await place.submit("the suspect")
        for _ in range(2):
            await settled(lambda: any(held_by(place, name) for name in "xyz"))
            [name] = [name for name in "xyz" if held_by(place, name)]
            worker_at(place, name).lose()
            await settled(lambda at=name: not held_by(place, at))
            worker_at(place, name).come_back()
        await settled(lambda: any(held_by(place, name) for name in "xyz"))
        alone = next(each for each in place.generation.members if each.held)
        assert alone.suspect == suspect.images[0].id
        assert {each.name for each in place.generation.members if each.num_losses} == set("xyz") - {alone.name}
        others = [await place.submit(f"other {number}") for number in range(4)]
        for name in set("xyz") - {alone.name}:
            worker_at(place, name).hold(False)
        assert {(await place.finished(job)).status for job in others} == {Status.DONE}
        assert set(alone.held) == {suspect.images[0].id}, "nothing was given to its worker meanwhile"
        worker_at(place, alone.name).hold(False)
        assert (await place.finished(suspect)).status is Status.DONE


async def test_a_busy_worker_is_emptied_for_a_suspect(tmp_path: Path) -> None:
    async with hall(tmp_path, is_held=True) as place:
        suspect = await place.submit("the suspect")
        image_id = suspect.images[0].id
        await settled(lambda: held_by(place, "x") | held_by(place, "y"))
        first, last = ("x", "y") if held_by(place, "x") else ("y", "x")
        worker_at(place, first).lose()
        await settled(lambda: image_id in held_by(place, last))
        worker_at(place, first).come_back()
        crowd = await place.submit("the crowd", count=6)
        await settled(lambda: len(held_by(place, first)) == 2)
        worker_at(place, last).lose()
        await settled(lambda: place.generation._dispatcher.suspects)
        busy = held_by(place, first)
        worker_at(place, first).hold(False)
        assert (await place.finished(suspect)).images[0].attempt == 3
        order = [each.image_id for each in worker_at(place, first).admitted]
        assert set(order[: order.index(image_id, 1)]) - {image_id} == busy, "what it held ended, nothing else began"
        assert (await place.finished(crowd)).status is Status.DONE


async def test_a_replay_goes_to_the_worker_with_its_fingerprint(tmp_path: Path) -> None:
    async with hall(tmp_path, "xyz") as place:
        made = [image for job in [await place.submit(count=6)] for image in (await place.finished(job)).images]
        for image in made:
            assert image.recipe is not None
            replay = image.recipe.build_replay()
            again = await place.generation.submit(GenerationRequest(spec=image.recipe.spec, replay=replay), ADA)
            [copy] = (await place.finished(again)).images
            assert copy.recipe is not None
            assert copy.recipe.fingerprint == image.recipe.fingerprint


async def test_a_replay_whose_worker_is_gone_is_painted_elsewhere(tmp_path: Path) -> None:
    async with hall(tmp_path) as place:
        [image] = (await place.finished(await place.submit())).images
        assert image.recipe is not None
        home = image.recipe.fingerprint.facts["engine"].removeprefix("card ")
        await place.pool.leave(home)
        request = GenerationRequest(spec=image.recipe.spec, replay=image.recipe.build_replay())
        [copy] = (await place.finished(await place.generation.submit(request, ADA))).images
        assert copy.recipe is not None
        assert copy.recipe.fingerprint != image.recipe.fingerprint, "by which people are told that it is near"


async def test_a_worker_that_leaves_gives_its_images_back_and_none_has_a_strike(tmp_path: Path) -> None:
    async with hall(tmp_path, is_held=True) as place:
        job = await place.submit(count=4)
        await settled(lambda: len(held_by(place, "x")) == len(held_by(place, "y")) == 2)
        await place.pool.leave("x")
        await settled(lambda: place.generation.members.get("x") is None)
        assert {live.losses for image in job.images if (live := place.generation._jobs.image(image.id))} == {0}
        back = InProcessWorker(CATALOG.models, card="card x", num_slots=2)
        await place.pool.join(Member(name="x", worker=back))
        worker_at(place, "y").hold(False)
        assert (await place.finished(job)).status is Status.DONE
        assert back.admitted, "one that comes takes its part"


async def test_a_worker_that_is_drained_ends_what_it_holds_and_takes_nothing_new(tmp_path: Path) -> None:
    async with hall(tmp_path, is_held=True) as place:
        first = await place.submit(count=4)
        await settled(lambda: len(held_by(place, "x")) == len(held_by(place, "y")) == 2)
        place.pool.drain("x")
        for name in "xy":
            worker_at(place, name).hold(False)
        second = await place.submit(count=4)
        assert {(await place.finished(job)).status for job in (first, second)} == {Status.DONE}
        assert len(worker_at(place, "x").admitted) == 2


async def test_a_worker_that_takes_no_commands_keeps_back_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hall(tmp_path) as place:
        thawed = asyncio.Event()

        async def freeze(order: GenerateCommand) -> None:
            await thawed.wait()
            raise ConnectionError

        monkeypatch.setattr(worker_at(place, "x"), "admit", freeze)
        crowd = await place.submit(count=4)
        await settled(lambda: worker_at(place, "y").admitted)
        more = await place.submit(count=2)
        await settled(lambda: len(worker_at(place, "y").admitted) > 3)
        monkeypatch.undo()
        thawed.set()
        assert {(await place.finished(job)).status for job in (crowd, more)} == {Status.DONE}


async def test_one_that_can_never_be_up_leaves_and_says_why(tmp_path: Path) -> None:
    unfit = InProcessWorker(CATALOG.models)
    unfit.unfit = ConfigurationError(problem="There is no third card.", remedy="Leave it out.")
    well = InProcessWorker(CATALOG.models)
    pool = WorkerPool([Member(name="x", worker=unfit), Member(name="y", worker=well)])
    async with opened_with(tmp_path, pool, catalog=CATALOG) as place:
        assert (await place.finished(await place.submit())).status is Status.DONE
        [up, left_out] = place.generation.workers
        assert (up.name, up.num_slots, up.is_unfit) == ("y", 4, False)
        assert (left_out.name, left_out.is_unfit) == ("x", True)
        assert str(left_out.trouble) == "There is no third card. Leave it out."


async def test_without_any_that_can_be_up_the_service_ends_with_the_reason(tmp_path: Path) -> None:
    pool = WorkerPool([Member(name=name, worker=InProcessWorker(CATALOG.models)) for name in "xy"])
    for member in pool.members:
        assert isinstance(member.worker, InProcessWorker)
        member.worker.unfit = ConfigurationError(problem="There is no card.", remedy="Buy one.")
    async with opened_with(tmp_path, pool, catalog=CATALOG) as place:
        assert place.running is not None
        with pytest.raises(ConfigurationError, match="There is no card"):
            await place.running


def test_a_name_belongs_to_one_member() -> None:
    pool = WorkerPool([Member(name="x", worker=InProcessWorker(CATALOG.models))])
    with pytest.raises(ValueError, match="already"):
        asyncio.run(pool.join(Member(name="x", worker=InProcessWorker(CATALOG.models))))


async def test_four_workers_do_not_make_a_forward_four_times_shorter() -> None:
    now_s = 0.0
    pool = WorkerPool([Member(name=name, worker=InProcessWorker(CATALOG.models)) for name in "wxyz"])
    members = Members(pool, clock=lambda: now_s)
    for state in members:
        members.take(state, f"at {state.name}", 1, "paintbox")
    for tick in range(1, 80):
        now_s = tick * 0.0125  # the reports of four workers, each with a forward of 50 ms, one after the other
        state = list(members)[tick % 4]
        state.pace.progressed(f"at {state.name}", 10.0, now_s=now_s)
    for state in members:
        assert state.pace.estimate_forward_s([10.0]) == pytest.approx(0.05, rel=0.05)
    assert members.units_per_s == pytest.approx(4 * 10 / 0.05, rel=0.1)


async def test_a_member_that_is_down_for_long_is_no_longer_waited_for() -> None:
    now_s = 0.0
    home, other = InProcessWorker(CATALOG.models, card="home"), InProcessWorker(CATALOG.models, card="other")
    members = Members(WorkerPool([Member(name="x", worker=home), Member(name="y", worker=other)]), clock=lambda: now_s)
    assert {each.name for each in members.list_offers()} == {"x", "y"}
    other.come_back()
    now_s = 1000.0
    assert {each.name for each in members.list_offers()} == {"y"}
    await other.close()
