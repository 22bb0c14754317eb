"""What every `Worker` promises the service, shown with the light engine and with a real model, in real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from bench.light_engine import ENGINE as LIGHT_ENGINE
from bench.light_engine import LOAD_S
from generation.errors import ConfigurationError, UnknownModelError
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    ImageFailed,
    Preview,
    Progress,
    Ready,
    WorkerLost,
)
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import HEADER, WorkerConfig
from generation.workers.local import LocalWorker
from tests.contracts.conftest import MakeWorker, Workplace
from tests.generation.engine.painting import a_spec, an_order
from tests.generation.engine.toy import toy_model
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
END = (Finished, Cancelled, ImageFailed, WorkerLost)
NEVER_DONE = a_spec(prompt="endless-image", steps=150)


async def ready(worker: LocalWorker) -> AsyncIterator[Event]:
    """Start, wait for `Ready`, and return the rest of the events."""
    await worker.start()
    events = worker.events()
    assert isinstance(await anext(events), Ready)
    return events


async def collect_until(events: AsyncIterator[Event], kind: type | tuple[type, ...]) -> list[Event]:
    """Return all events up to and with the first of that kind."""
    said = [await anext(events)]
    while not isinstance(said[-1], kind):
        said.append(await anext(events))
    return said


# What any worker does.


async def test_a_worker_reports_ready_and_its_fingerprint(workplace: Workplace) -> None:
    worker = workplace.worker
    assert worker.num_slots > 0
    assert worker.fingerprint is not None and worker.fingerprint.facts
    assert set(worker.model_sha256) == {"toy"}


async def test_a_command_reports_progress_and_a_preview(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    spec = a_spec()
    await worker.admit(an_order(spec, num_previews=1))
    said = await collect_until(events, END)
    finished = said[-1]
    assert isinstance(finished, Finished)
    assert len(finished.pixels) == finished.width_px * finished.height_px * 3
    assert (finished.width_px, finished.height_px) == spec.result_size_px
    assert finished.evaluations == spec.num_evaluations
    done = [event.done for event in said if isinstance(event, Progress)]
    if workplace.is_remote:
        assert done == sorted(set(done)) and done[-1] == spec.num_evaluations
    else:
        assert done == list(range(1, spec.num_evaluations + 1))
    assert sum(isinstance(event, Preview) for event in said) == 1
    assert all(event.attempt == 1 for event in said if not isinstance(event, Ready | WorkerLost))


async def test_the_same_command_gives_the_same_pixels(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    pixels = []
    for image_id in ("a-0", "b-0"):
        await worker.admit(an_order(image_id=image_id))
        finished = (await collect_until(events, END))[-1]
        assert isinstance(finished, Finished)
        pixels.append(finished.pixels)
    assert pixels[0] == pixels[1]


async def test_a_cancelled_command_reports_the_steps_done(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    await worker.admit(an_order(NEVER_DONE, attempt=3))
    await collect_until(events, Progress)
    await worker.cancel(Cancel(image_id="a-0", attempt=2))
    await collect_until(events, Progress)
    await worker.cancel(Cancel(image_id="a-0", attempt=3))
    end = (await collect_until(events, END))[-1]
    assert isinstance(end, Cancelled)
    assert (end.attempt, 0 < end.evaluations < 150) == (3, True)


async def test_cancelling_an_unknown_image_does_nothing(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    await worker.cancel(Cancel(image_id="never-0", attempt=1))
    await worker.admit(an_order())
    assert {event.image_id for event in await collect_until(events, END)} == {"a-0"}


async def test_other_models_are_offered_by_the_process_that_is_up_and_by_the_next(
    workplace: Workplace, toy_folder: Path
) -> None:
    worker, events, pid = workplace.worker, workplace.events, workplace.worker.pid
    only, other = toy_model(toy_folder), toy_model(toy_folder, name="other")
    await worker.update((only, other))
    await worker.admit(an_order(a_spec(model="other"), image_id="other-0"))
    assert isinstance((await collect_until(events, END))[-1], Finished)
    assert set(worker.model_sha256) == {"toy", "other"} and worker.pid == pid
    os.kill(pid or 0, signal.SIGKILL)
    await collect_until(events, Ready)
    assert set(worker.model_sha256) == {"toy", "other"} and worker.pid != pid
    await worker.update((only,))
    await worker.admit(an_order(a_spec(model="other"), image_id="other-1"))
    failed = (await collect_until(events, END))[-1]
    assert isinstance(failed, ImageFailed) and failed.error == UnknownModelError.code
    assert set(worker.model_sha256) == {"toy"}


async def test_many_commands_all_end(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    for index in range(12):
        await worker.admit(an_order(a_spec(seed=index, steps=2), image_id=f"a-{index}"))
    ended = [(await collect_until(events, END))[-1] for _ in range(12)]
    assert all(isinstance(end, Finished) for end in ended)
    assert len({end.pixels for end in ended if isinstance(end, Finished)}) == 12


async def test_a_killed_process_is_lost_then_ready_again(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    await worker.admit(an_order(NEVER_DONE))
    await collect_until(events, Progress)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    lost = (await collect_until(events, WorkerLost))[-1]
    assert isinstance(lost, WorkerLost) and "SIGKILL" in lost.reason
    assert isinstance(await anext(events), Ready), "nothing comes of images admitted before Lost"
    await worker.admit(an_order(image_id="b-0"))
    assert isinstance((await collect_until(events, END))[-1], Finished)


async def test_an_error_of_one_image_fails_that_image_alone(workplace: Workplace) -> None:
    worker, events = workplace.worker, workplace.events
    await worker.admit(an_order(a_spec(prompt="break-image", width_px=72, model="toy"), image_id="bad-0", replay="1x1"))
    await worker.admit(an_order(image_id="good-0"))
    ended = {event.image_id: event for event in [(await collect_until(events, END))[-1] for _ in range(2)]}
    assert isinstance(ended["bad-0"], ImageFailed)
    assert isinstance(ended["good-0"], Finished)


# What a supervised process does.


async def test_closing_ends_the_events_and_the_process_twice_over(make_light: MakeWorker) -> None:
    worker = make_light()
    assert (worker.num_slots, worker.fingerprint) == (0, None)
    events = await ready(worker)
    await worker.admit(an_order(NEVER_DONE))
    await collect_until(events, Progress)
    pid = worker.pid
    assert pid is not None
    await worker.close()
    await worker.close()
    assert not any(isinstance(event, END) for event in [event async for event in events])
    assert not psutil.pid_exists(pid)
    assert worker.num_slots == 0


@pytest.mark.parametrize("state", ["starting", "hanging", "frozen"])
async def test_closing_returns_when_the_process_is_gone(make_light: MakeWorker, state: str) -> None:
    worker = make_light(close_s=0.1)
    if state == "starting":
        await worker.start()
        await until(lambda: worker.pid)
    else:
        await ready(worker)
        await worker.admit(an_order(a_spec(prompt="hang-worker")))
    pid = worker.pid
    assert pid is not None
    if state == "frozen":
        os.kill(pid, signal.SIGSTOP)
        # More than a pipe holds: the writer waits now.
        await asyncio.wait([asyncio.create_task(worker.admit(an_order(start_png=bytes(1 << 20))))], timeout=0.05)
    await worker.close()
    assert not psutil.pid_exists(pid)
    assert worker.pid is None


async def test_no_command_is_accepted_without_an_engine(make_light: MakeWorker) -> None:
    with pytest.raises(ConnectionError):
        await make_light().admit(an_order())


async def test_a_print_cannot_corrupt_the_protocol(make_light: MakeWorker) -> None:
    worker = make_light()
    events = await ready(worker)
    await worker.admit(an_order(a_spec(prompt="print-noise")))
    assert isinstance((await collect_until(events, END))[-1], Finished)


async def test_a_poison_image_kills_only_its_worker(make_light: MakeWorker) -> None:
    worker = make_light(first_pause_s=0.01)
    events = await ready(worker)
    for attempt in (1, 2):
        await worker.admit(an_order(a_spec(prompt="crash-worker"), attempt=attempt))
        await collect_until(events, WorkerLost)
        assert isinstance(await anext(events), Ready)
    await worker.admit(an_order())
    assert isinstance((await collect_until(events, END))[-1], Finished)


async def test_a_hanging_process_is_killed(make_light: MakeWorker) -> None:
    worker = make_light(hang_s=0.3)
    events = await ready(worker)
    await worker.admit(an_order(a_spec(prompt="hang-worker")))
    lost = await anext(events)
    assert isinstance(lost, WorkerLost) and "silent" in lost.reason


async def test_a_process_that_loads_for_long_is_left_alone(make_light: MakeWorker) -> None:
    worker = make_light(hang_s=LOAD_S / 2)
    events = await ready(worker)
    await worker.admit(an_order(a_spec(prompt="load-slowly", steps=1)))
    assert isinstance((await collect_until(events, END))[-1], Finished)


async def test_a_process_that_hangs_while_it_loads_is_killed(make_light: MakeWorker) -> None:
    worker = make_light(hang_s=0.3)
    events = await ready(worker)
    await worker.admit(an_order(a_spec(prompt="load-slowly hang-worker")))
    lost = (await collect_until(events, WorkerLost))[-1]
    assert isinstance(lost, WorkerLost) and "silent" in lost.reason


async def test_an_idle_process_is_left_alone(make_light: MakeWorker) -> None:
    worker = make_light(hang_s=0.05)
    events = await ready(worker)
    next_event = asyncio.ensure_future(anext(events))
    done, _ = await asyncio.wait([next_event], timeout=0.3)
    assert not done, "six times the patience, and nothing was owed"
    assert worker.pid is not None
    assert psutil.pid_exists(worker.pid)
    next_event.cancel()


async def test_the_child_dies_with_its_parent(make_light: MakeWorker, tmp_path: Path) -> None:
    """The supervisor's own process is killed, not closed, so it cannot tell the child."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contracts.parent", stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    assert await asyncio.to_thread(psutil.wait_procs, [child], 10) == ([child], [])


SECRETS = (
    *("ATELIER_DISCORD_TOKEN", "ATELIER_C2PA_KEY_FILE", "SOME_API_KEY", "GITHUB_PAT", "AWS_SESSION", "PGSERVICE"),
    *("MADE_UP_BY_AN_OPERATOR", "https_proxy", "HF_TOKEN", "SSH_AUTH_SOCK", "CUDA_API_TOKEN", "torch_password"),
)
NEEDED = {
    "CUDA_VISIBLE_DEVICES": "",
    "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    "OMP_NUM_THREADS": "1",
    "MKL_CBWR": "AUTO",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "TMPDIR": "/tmp",
}


async def test_the_child_gets_an_allow_list_of_the_environment(
    make_light: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "canary")
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    worker = make_light()
    await ready(worker)
    environment = psutil.Process(worker.pid).environ()
    assert "canary" not in "".join(environment.values())
    assert not environment.keys() & set(SECRETS)
    waiting = {"GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY"} if sys.platform == "linux" else {"OMP_WAIT_POLICY"}
    assert environment.items() >= (NEEDED | {"PATH": os.environ["PATH"]}).items() and environment.keys() >= waiting
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DIFFUSERS_DISABLE_REMOTE_CODE")
    assert [environment[name] for name in offline] == ["1"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="Linux chooses by this number whom to end")
async def test_when_memory_runs_out_the_child_goes_and_not_the_bot(make_light: MakeWorker) -> None:
    worker = make_light()
    await ready(worker)
    assert Path(f"/proc/{worker.pid}/oom_score_adj").read_text().strip() == "500"  # noqa: ASYNC240


async def test_a_folder_that_may_not_be_opened_stops_the_start(tmp_path: Path) -> None:
    worker = LocalWorker(WorkerConfig(models=(toy_model(tmp_path / "nothing"),)))
    with pytest.raises(ConfigurationError, match="no such folder"):
        await worker.start()
    await worker.close()


async def test_a_checkpoint_in_one_file_is_no_folder_and_starts(toy_folder: Path, tmp_path: Path) -> None:
    model = toy_model(save_checkpoint(toy_folder, tmp_path / "toy.safetensors"), config=toy_folder)
    worker = LocalWorker(WorkerConfig(models=(toy_model(toy_folder, name="first"), model), nice=0))
    await worker.start()
    assert isinstance(await anext(worker.events()), Ready)
    await worker.close()


async def test_an_engine_that_cannot_be_built_is_not_retried() -> None:
    """It restarted for ever, and a caller that waited for its first picture waited as long."""
    config = WorkerConfig(models=(toy_model(Path("no/model/needed"), name="unfit"),), engine=LIGHT_ENGINE)
    worker = LocalWorker(config, first_pause_s=0.01)
    await worker.start()
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        await anext(worker.events())
    assert (worker.pid, worker.num_slots) == (None, 0)
    with pytest.raises(ConnectionError):
        await worker.admit(an_order())
    await worker.close()


@pytest.mark.parametrize("num_slots", [-1, -16])
async def test_a_worker_without_room_is_replaced(num_slots: int) -> None:
    """It would never be given one, and so never be found silent."""
    settings = EngineSettings(num_slots=num_slots)
    config = WorkerConfig(models=(toy_model(Path("no/model/needed")),), engine=LIGHT_ENGINE, settings=settings)
    worker = LocalWorker(config, first_pause_s=0.01)
    await worker.start()
    events = worker.events()
    for _ in range(2):
        lost = await anext(events)
        assert isinstance(lost, WorkerLost) and "num_slots" in lost.reason
    assert worker.num_slots == 0
    await worker.close()


async def test_a_child_that_does_not_understand_ends(make_light: MakeWorker) -> None:
    worker = make_light(first_pause_s=0.01)
    events = await ready(worker)
    assert worker._process is not None and worker._process.stdin is not None
    worker._process.stdin.write(HEADER.pack(3) + b"xyz")
    assert isinstance(await anext(events), WorkerLost)
    assert isinstance(await anext(events), Ready)


async def test_a_process_that_cannot_be_started_is_tried_again(
    make_light: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_light(first_pause_s=0.01, longest_pause_s=0.01)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    await worker.start()
    events = worker.events()
    lost = await anext(events)
    assert isinstance(lost, WorkerLost) and "could not be started" in lost.reason
    monkeypatch.undo()
    assert isinstance((await collect_until(events, Ready))[-1], Ready)


async def test_an_unforeseen_error_costs_one_attempt(make_light: MakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its supervisor, no process would ever be started again, and nothing would say so."""
    tries = 0
    listen = LocalWorker._listen

    async def stumble(worker: LocalWorker, process: asyncio.subprocess.Process) -> str | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("unforeseen")
        return await listen(worker, process)

    monkeypatch.setattr(LocalWorker, "_listen", stumble)
    worker = make_light(first_pause_s=0.01, longest_pause_s=0.01)
    await worker.start()
    events = worker.events()
    async with asyncio.timeout(PATIENCE_S):
        lost = await anext(events)
        assert isinstance(lost, WorkerLost) and "RuntimeError" in lost.reason
        assert isinstance((await collect_until(events, Ready))[-1], Ready)
