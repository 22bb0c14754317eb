"""The message of a job in every state. Pure: no Discord is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cogs.common.formatting import escape_markdown
from cogs.common.message_limits import fit_message
from cogs.common.messages import Action, Gallery, MessageSpec, Tone
from cogs.recipe import _messages as recipe_pages
from cogs.results import _messages as replies
from cogs.results._by_picture import CANCELLED, CANCELLED_LATE, PAINTED_ELSEWHERE, STOPPED, list_painted_elsewhere
from cogs.results._reduced_variants import MessageVariant
from cogs.results._result import ResultContext, _build_message
from generation.errors import FailedError, WithheldError, WorkerLostError
from generation.images.interchange import ForeignSettings
from generation.images.metadata import sign_png
from generation.images.replay import Agreement, ReplayVerdict
from generation.images.store import ImageFiles
from generation.jobs.history import Relatives
from generation.jobs.job import Image, Job, Status
from generation.owner import Owner
from generation.requests.edits import Upscale, UpscaleNetwork
from generation.requests.recipe import CLOUD, Fingerprint, Recipe
from generation.requests.replay import Replay
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.safety.visibility import Shown
from generation.scheduling.active_jobs import JobView
from tests.messages import is_said

SPEC = ImageSpec(
    prompt="a red circle",
    model="paintbox",
    width_px=128,
    height_px=128,
    steps=20,
    guidance=4.0,
    sampler="Euler",
    seed=7,
)


def job_of(*statuses: Status, spec: ImageSpec = SPEC, charged: int = 0, error: str | None = None) -> Job:
    images = tuple(
        Image(
            job_id="j" * 22,
            index=index,
            spec=spec,
            reserved=10,
            status=status,
            attempt=3,
            charged=charged,
            file_sha256="ab" * 32 if status is Status.DONE else None,
            error=error,
        )
        for index, status in enumerate(statuses)
    )
    request = GenerationRequest(spec=spec, count=len(statuses))
    return Job(id="j" * 22, owner=Owner(1, 2), request=request, created_at=datetime.now(UTC), images=images)


def read(say: MessageSpec) -> str:
    """Return the words of a message, without its line breaks."""
    return "\n".join(block for block in fit_message(say).blocks if isinstance(block, str)).replace("\u00a0", " ")


def labels(say: MessageSpec) -> list[list[str]]:
    return [[button.label for button in row] for row in say.rows]


def test_unread_words_are_named_once() -> None:
    job = job_of(Status.DONE, Status.DONE)
    recipe = Recipe(
        spec=SPEC, model_sha256="00", trace="", fingerprint=Fingerprint({}), pixels_sha256="00", dropped="a hat"
    )
    read_all = replace(job, images=tuple(replace(image, recipe=recipe) for image in job.images))
    assert read(replies.build_result(read_all, {})).count("“a hat”") == 1
    assert not is_said(replies.UNREAD, read(replies.build_result(job, {})))
    as_tokens = replace(read_all, images=(replace(job.images[0], recipe=replace(recipe, dropped="a hat , a cat .")),))
    said = read(replies.build_result(as_tokens, {})).replace("\\", "")
    assert is_said(replies.UNREAD, said, words="a hat, a cat.")


def test_waiting_says_the_place_and_the_time() -> None:
    view = JobView(job=job_of(Status.WAITING), progress=0, images_ahead=3, wait_s=8.4)
    say = replies.build_progress(view, is_ready=True)
    assert "**Waiting** · 3 pictures ahead of yours · about 8 sec" in read(say)
    assert labels(say) == [["Cancel", "Tell me when done"]]
    assert is_said(replies.NEXT, read(replies.build_progress(replace(view, images_ahead=0), is_ready=True)))
    assert is_said(replies.STARTING, read(replies.build_progress(view, is_ready=False)))


def test_progress_shows_a_bar_a_preview_and_a_count() -> None:
    job = job_of(Status.DONE, Status.RUNNING)
    say = replies.build_progress(JobView(job=job, progress=0.5, wait_s=4, preview=b"jpeg"), is_ready=True)
    assert "50% · about 4 sec left · 1 of 2 done" in read(say)
    assert [picture.filename for picture in say.pictures()] == ["preview.jpg"]
    assert say.tone is Tone.PAINTING


def test_progress_says_that_the_model_is_being_loaded() -> None:
    view = JobView(job=job_of(Status.RUNNING), progress=0, wait_s=4)
    loading = read(replies.build_progress(view, is_ready=True, is_loading=True))
    assert f"0% · {replies.LOADING} · about 4 sec left" in loading
    starting = read(replies.build_progress(view, is_ready=False, is_loading=True))
    assert is_said(replies.STARTING, starting) and not is_said(replies.LOADING, starting)
    waiting = JobView(job=job_of(Status.WAITING), progress=0, images_ahead=3)
    assert not is_said(replies.LOADING, read(replies.build_progress(waiting, is_ready=True, is_loading=True)))


def test_four_done_have_rows_of_u_and_v() -> None:
    job = job_of(*[Status.DONE] * 4)
    shown = {image.index: replies.build_picture(job, image, b"\x89PNG") for image in job.images}
    say = replies.build_result(job, shown)
    assert labels(say) == [
        ["U1", "U2", "U3", "U4"],
        ["V1", "V2", "V3", "V4"],
        ["Reroll", "Remix", "Recipe", "Favourite", "Delete"],
        ["Alt text"],
    ], "the menu of four pictures is full"
    assert (
        next(block for block in say.blocks if isinstance(block, Gallery)).pictures[3].filename == "a-red-circle-4.png"
    )
    assert f"128 × 128 · {job.request.spec.model} · 20 steps · guidance 4 · Euler · seeds 7–10 · for <@2>" in read(say)
    assert say.tone is Tone.DONE


@pytest.mark.parametrize("number", range(1, 11))
def test_every_number_of_pictures_can_be_chosen_from(number: int) -> None:
    job = job_of(*[Status.DONE] * number)
    say = replies.build_result(job, {})
    buttons = [button for row in say.rows for button in row] + [each for menu in say.menus for each in menu.buttons]
    chosen = {each: {b.subject for b in buttons if b.action is each} for each in (Action.UPSCALE, Action.VARY)}
    every = {f"{job.id}:{index}" for index in range(number)}
    assert chosen == {Action.UPSCALE: every, Action.VARY: every}
    assert all(len(menu.buttons) <= 25 for menu in say.menus)
    assert len({menu.subject for menu in say.menus}) == len(say.menus)
    assert sum(button.action is Action.ORIGINALS for button in buttons) == (number > 1)
    assert {b.subject for b in buttons if b.action is Action.PICTURE} == (every if number > 4 else set())


def test_a_failed_picture_is_explained_once() -> None:
    say = replies.build_result(job_of(Status.DONE, Status.WITHHELD, Status.WITHHELD), {})
    assert read(say).count("could not be painted") == 1
    assert f"**2 and 3** · {FailedError()}" in read(say)
    assert say.tone is Tone.TROUBLE
    all_of_them = read(replies.build_result(job_of(Status.WITHHELD, Status.WITHHELD, error="Withheld"), {}))
    assert f"\n{WithheldError()}\n" in all_of_them
    lost = replies.build_result(job_of(Status.FAILED, error="WorkerLost"), {})
    assert is_said(WorkerLostError, read(lost), attempts=3)
    assert labels(lost) == [["Try again", "Remix"]]


def test_a_cancelled_job_says_what_it_cost() -> None:
    assert is_said(CANCELLED, read(replies.build_result(job_of(Status.CANCELLED), {})))
    assert is_said(CANCELLED_LATE, read(replies.build_result(job_of(Status.CANCELLED, charged=5), {})))
    some = read(replies.build_result(job_of(Status.DONE, Status.CANCELLED), {}))
    assert f"**2** · {STOPPED}" in some


def test_only_finished_pictures_are_labelled_as_generated() -> None:
    assert "AI-generated" in read(replies.build_result(job_of(Status.DONE, Status.CANCELLED), {}))
    assert "AI-generated" not in read(replies.build_result(job_of(Status.CANCELLED), {}))
    assert "AI-generated" not in read(replies.build_result(job_of(Status.FAILED), {}))


def test_every_picture_has_its_own_alt_text() -> None:
    job = job_of(Status.DONE, Status.DONE)
    assert [replies.build_picture(job, image, b"").alt for image in job.images] == [
        "1 of 2: a red circle",
        "2 of 2: a red circle",
    ]
    alone = job_of(Status.DONE)
    assert replies.build_picture(alone, alone.images[0], b"").alt == "a red circle"


def test_buttons_of_one_picture_fill_the_lines_of_a_phone() -> None:
    assert labels(replies.build_result(job_of(Status.DONE), {})) == [
        ["Upscale", "Vary", "Reroll"],
        ["Remix", "Recipe", "Favourite", "Delete"],
    ]


def test_many_unknown_words_are_counted() -> None:
    known = {"things": ("circle",), "colours": ("red",)}
    assert is_said(replies.UNKNOWN_WORDS, replies.format_unknown_words("ab", known), words="a, b")
    assert "a, b, c, d, e, f and 2 more" in replies.format_unknown_words("abcdefgh", known)


def test_an_enlargement_offers_neither_vary_nor_reroll() -> None:
    large = replace(SPEC, upscale=Upscale(sha256="ab" * 32))
    say = replies.build_result(job_of(Status.DONE, spec=large), {})
    assert labels(say) == [["Upscale", "Recipe", "Favourite", "Delete"]]
    largest = replace(large, width_px=2048, height_px=2048)
    assert labels(replies.build_result(job_of(Status.DONE, spec=largest), {})) == [["Recipe", "Favourite", "Delete"]]


def test_without_an_upscaler_the_buttons_say_that_they_resize() -> None:
    one = labels(replies.build_result(job_of(Status.DONE), {}, is_upscaled=False))
    assert one[0][0] == "Enlarge (resize)"
    assert labels(replies.build_result(job_of(Status.DONE, Status.DONE), {}, is_upscaled=False))[0] == [
        "Resize 1",
        "Resize 2",
    ]


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_an_enlargement_says_how_large_it_is_and_what_enlarged_it(factor: int) -> None:
    network = UpscaleNetwork(name="4x-UltraSharp", sha256="cd" * 32)
    spec = replace(SPEC, upscale=Upscale(sha256="ab" * 32, factor=factor, network=network))
    shown = read(replies.build_result(job_of(Status.DONE, spec=spec), {}))
    title = (replies.RESTORED, {}) if factor == 1 else (replies.ENLARGED, {"factor": factor})
    assert is_said(title[0], shown, **title[1])
    assert "4x-UltraSharp" in shown.replace("\\", "")


def test_the_verdict_of_a_reproduction_is_the_first_thing_read() -> None:
    job = job_of(Status.DONE)
    same = ReplayVerdict(verdict=Agreement.IDENTICAL, psnr_db=None, why="")
    near = ReplayVerdict(verdict=Agreement.NEAR, psnr_db=41.7, why="torch 2.13 here, 2.12 then.")
    other = ReplayVerdict(verdict=Agreement.DIFFERENT, psnr_db=None, why="The recipe was changed.")
    assert is_said(replies.IDENTICAL, read(replies.build_result(job, {}, verdict=same)))
    assert is_said(replies.NEAR, read(replies.build_result(job, {}, verdict=near)), measured="42 dB")
    assert "**Different**\n-# The recipe was changed." in read(replies.build_result(job, {}, verdict=other))


def test_the_machine_in_an_untrusted_file_is_never_repeated(tmp_path: Path) -> None:
    """The verdict is public: no words, links or long texts of a file may enter it."""
    files = ImageFiles(tmp_path)
    facts = {"torch": "[Free](https://evil.example)", "@everyone\n# HEADING": "x" * 5000, "device": "cpu"}
    forged = Recipe(spec=SPEC, model_sha256="00", trace="2x20", fingerprint=Fingerprint(facts), pixels_sha256="00" * 32)
    pixels = bytes(3 * 128 * 128)
    original = files.put(sign_png(pixels, (128, 128), forged))
    made = replace(forged, fingerprint=Fingerprint({"torch": "2.13.0", "device": "cpu"}))
    job = job_of(Status.DONE)
    image = replace(job.images[0], recipe=made, file_sha256=files.put(sign_png(pixels, (128, 128), made)))
    replay = Replay(trace="2x20", pixels_sha256="00" * 32, original=original)
    job = replace(job, request=GenerationRequest(spec=SPEC, replay=replay), images=(image,))
    said = read(_build_message(job, MessageVariant(), {0: Shown.OPENLY}, ResultContext(files, None, is_upscaled=True)))
    assert "under the same fingerprint only: torch 2.13.0 here, another then." in said
    assert "evil" not in said and "HEADING" not in said


def test_a_file_of_masses_is_still_one_message() -> None:
    masses = "`" * 1500
    other = recipe_pages.build_foreign(
        ForeignSettings(tool="A1111", prompt=masses, negative=masses, sampler_there=masses, model_there=masses)
    )
    named = Recipe(
        spec=replace(SPEC, model="*" * 6000, prompt=masses),
        model_sha256="`" * 6000,
        trace="",
        fingerprint=Fingerprint({}),
        pixels_sha256="",
        parents=("`" * 6000,) * 1000,
    )
    for say in (other, recipe_pages.build_file_recipe(named)):
        assert sum(len(block) for block in say.blocks if isinstance(block, str)) < 4000


def test_every_button_of_a_job_names_it() -> None:
    say = replies.build_result(job_of(*[Status.DONE] * 4), {})
    subjects = {button.subject.partition(":")[0] for row in say.rows for button in row}
    assert subjects == {"j" * 22}
    assert {button.action for row in say.rows for button in row} >= {Action.UPSCALE, Action.VARY, Action.REROLL}


def test_a_partly_done_job_says_why_the_rest_waits() -> None:
    job = job_of(Status.DONE, Status.WAITING)
    view = JobView(job=job, progress=0.5)
    assert is_said(replies.PAUSED_REST, read(replies.build_progress(view, is_ready=True, is_paused=True)))
    assert is_said(replies.STARTING, read(replies.build_progress(view, is_ready=False)))
    whole = replace(view, job=job_of(Status.DONE, Status.RUNNING), wait_s=4)
    assert "left" in read(replies.build_progress(whole, is_ready=True, is_paused=True)), "what is begun goes on"


def test_what_a_cloud_painted_says_so_and_promises_no_repetition(tmp_path: Path) -> None:
    here = Recipe(
        spec=SPEC, model_sha256="00", trace="2x20", fingerprint=Fingerprint({"torch": "2"}), pixels_sha256="0"
    )
    cloud = replace(here, fingerprint=Fingerprint({CLOUD: "api.example.com", "version": "1"}))
    both = job_of(Status.DONE, Status.DONE)
    mixed = replace(
        both, images=tuple(replace(image, recipe=made) for image, made in zip(both.images, (here, cloud), strict=True))
    )
    host = escape_markdown("api.example.com")
    assert list_painted_elsewhere(both) == []
    [said] = list_painted_elsewhere(mixed)
    assert said.startswith("**2** · ") and is_said(PAINTED_ELSEWHERE, said, host=host)
    away = replace(mixed, images=tuple(replace(image, file_sha256="ab" * 32) for image in mixed.images))
    shown = dict.fromkeys((0, 1), Shown.OPENLY)
    whole = read(_build_message(away, MessageVariant(), shown, ResultContext(ImageFiles(tmp_path), None, True)))
    assert said in whole and is_said(replies.CLOUD_AWAY, whole) and is_said(replies.FILE_AWAY, whole)


def test_a_recipe_offers_byte_for_byte_what_was_painted_here() -> None:
    here = Recipe(spec=SPEC, model_sha256="00", trace="2x20", fingerprint=Fingerprint({}), pixels_sha256="0")
    cloud = replace(here, fingerprint=Fingerprint({CLOUD: "api.example.com"}))
    both = job_of(Status.DONE, Status.DONE)

    def recipe_of(*made: Recipe) -> str:
        images = tuple(replace(image, recipe=each) for image, each in zip(both.images, made, strict=True))
        return read(recipe_pages.build_recipe(replace(both, images=images), Relatives(), {}))

    exact = recipe_of(cloud, here)
    assert (
        f"byte for byte: `/reproduce picture:{both.id}-1`" in exact
        and f"painted by {escape_markdown('api.example.com')}" in exact
    )
    other = recipe_of(cloud, cloud)
    assert is_said(recipe_pages.NOT_EXACT, other, command=f"`/reproduce picture:{both.id}-0`")
    assert "byte for byte" not in other
    forged = replace(cloud, fingerprint=Fingerprint({CLOUD: "@everyone\n# [x](https://evil.example)" + "x" * 9000}))
    in_file = read(recipe_pages.build_file_recipe(forged))
    assert is_said(recipe_pages.FILE_NOT_EXACT, in_file)
    assert "\n# [" not in in_file and "](https" not in in_file and len(in_file) < 2000
