"""Messages other than results. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cogs.common.message_limits import fit_message
from cogs.common.messages import MessageSpec, Rule
from cogs.common.status_lines import PAUSED
from cogs.i18n.gettext import use_language
from cogs.moderation import _messages as moderation_pages
from cogs.queue import _messages as queue_pages
from cogs.quota import _messages as quota_pages
from cogs.recipe import _messages as recipe_pages
from generation.jobs.history import Relatives
from generation.jobs.job import Image, Job, Status
from generation.owner import Owner
from generation.policy.quota import Quota, Scope, Unit
from generation.requests.edits import Upscale
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.safety.visibility import SafetyScores
from generation.scheduling.active_jobs import JobView
from tests.messages import is_said

PHONE = 29
"""Letters of a code block in a line of a phone."""
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


def painted(number: int = 0, *, spec: ImageSpec = SPEC, trace: str = "2x20") -> Job:
    job_id = str(number).rjust(22, "j")
    recipe = Recipe(spec=spec, model_sha256="00", trace=trace, fingerprint=Fingerprint({}), pixels_sha256="00")
    image = Image(job_id=job_id, index=0, spec=spec, reserved=10, status=Status.DONE, recipe=recipe)
    request = GenerationRequest(spec=spec)
    return Job(id=job_id, owner=Owner(1, 2), request=request, created_at=datetime.now(UTC), images=(image,))


def read(say: MessageSpec) -> str:
    return "\n".join(block for block in fit_message(say).blocks if isinstance(block, str)).replace("\u00a0", " ")


def test_a_family_is_counted_right_and_a_large_one_ends_in_dots() -> None:
    one = read(recipe_pages.build_recipe(painted(), Relatives(children=(painted(1),)), {}))
    assert "**Child** painted\n" in one
    many = recipe_pages.build_recipe(
        painted(), Relatives(parents=((painted(), 0),), children=tuple(painted(n) for n in range(8))), {}
    )
    assert "**Parent** painted\n" in read(many)
    assert f"**Children** {', '.join(['painted'] * 6)}, …\n" in read(many)


def test_an_enlargement_has_no_trace_to_tell_of() -> None:
    assert "1 · seed 7 · trace `2x20` · pixels `00`" in read(recipe_pages.build_recipe(painted(), Relatives(), {}))
    large = painted(spec=replace(SPEC, upscale=Upscale(sha256="ab" * 32)), trace="")
    assert "1 · seed 7 · pixels `00`" in read(recipe_pages.build_recipe(large, Relatives(), {}))


def test_how_pictures_were_judged_fits_on_a_phone() -> None:
    judged = [SafetyScores(is_flagged=n == 9, margins={"start concept": n / 10 - 0.8, "care": -1.5}) for n in range(10)]
    say = moderation_pages.build_stats(judged)
    assert "Flagged: **1** of the last 10 pictures." in read(say)
    table = next(block for block in say.blocks if isinstance(block, str) and block.startswith("```")).split("\n")[1:-1]
    assert table == [
        "     50%     90%     99%",
        "care",
        "  -1.500  -1.500  -1.500",
        "start concept",
        "  -0.300  +0.100  +0.100",
    ]
    assert all(len(line) <= PHONE for line in table)
    with use_language("de"):
        german = read(moderation_pages.build_stats(judged))
    assert "    50 %    90 %    99 %\n" in german
    assert "+0,100" in german


def test_pictures_without_margins_have_no_table() -> None:
    say = moderation_pages.build_stats([SafetyScores(is_flagged=True, margins={})])
    assert read(say) == "### Safety\nFlagged: **1** of the one picture so far."


def test_a_quota_of_everyone_mentions_no_member() -> None:
    everyone = Quota(scope=Scope.ROLE, subject_id=1, unit=Unit.IMAGES, limit=3)
    role = replace(everyone, subject_id=5)
    say = quota_pages.build_quotas(
        [everyone, role], guild_id=1, timezone="UTC", done=quota_pages.format_set(everyone, 1)
    )
    assert quota_pages.format_set(everyone, 1) + "\n" in read(say)
    assert "**3 pictures a day** · each member\n**3 pictures a day** · each member with <@&5>\n" in read(say)
    assert isinstance(say.blocks[1], Rule)


def test_a_queue_line_names_the_owner_and_no_wait_during_a_break() -> None:
    view = JobView(job=painted(), progress=0.0, images_ahead=2, wait_s=30.0)
    shown = {"viewer_id": 9, "num_waiting": 3, "num_running": 0, "share": (1.0, 0.5), "boost": 1.0, "is_ready": True}
    text = read(queue_pages.build_queue([view], **shown))  # type: ignore[arg-type]
    assert "\n<@2>, 1 picture · 2 pictures ahead · about 30 sec\n" in text
    assert "weight" not in text
    paused = read(queue_pages.build_queue([view], **shown, is_paused=True))  # type: ignore[arg-type]
    assert "\n<@2>, 1 picture · 2 pictures ahead\n" in paused
    assert is_said(PAUSED, paused)
