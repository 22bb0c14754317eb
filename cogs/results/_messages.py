"""What people read about their pictures, from “in line” to the finished gallery. Pure: values in, a message out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cogs.common.comparison import format_picture, quote_prompts
from cogs.common.formatting import (
    bind_words,
    draw_bar,
    escape_markdown,
    format_duration,
    format_settings,
    format_small,
    join_dotted,
    make_slug,
)
from cogs.common.messages import Action, Block, Button, Gallery, MessageSpec, Picture, Tone
from cogs.i18n.gettext import N_, _, format_part, format_value, ngettext
from cogs.results._action_rows import build_action_rows
from cogs.results._by_picture import list_troubles
from generation.images.replay import Agreement, ReplayVerdict
from generation.jobs.job import Image, Job, Status
from generation.jobs.job_kind import JobKind, get_job_kind
from generation.scheduling.active_jobs import JobView

NOTHING_TO_CANCEL = N_("There is nothing to cancel: these pictures are finished.")
STILL_PAINTING = N_("These pictures are still in progress. Press Cancel first.")
RECODED = N_(
    "The original is too large to send here, so this is a smaller copy (JPEG). The bot keeps the "
    "original: use `/history` in a place that allows larger files."
)
TOO_LARGE = N_(
    "A picture is too large to send here. The bot keeps it: use `/history` in a place that allows larger files."
)
NO_WORDS = N_("(prompt not shown)")
NOT_SHOWN_HERE = N_("Pictures that the safety checker flagged or cannot check are not shown here.")
FILE_AWAY = N_("The file was removed from the disk. Press Reproduce to paint it again, byte for byte.")
STARTED_AWAY = N_(
    "The file was removed from the disk. Press Reproduce to paint it again, byte for byte, if its "
    "start image is still there."
)
CLOUD_AWAY = N_(
    "The file was removed from the disk. It was painted elsewhere, so Reproduce paints a different picture."
)
FLAGGED = N_("The safety checker flagged the picture behind the spoiler.")
FAVOURITE = N_("Added to your favourites. See them with `/history show:favourites`. Press again to remove it.")
NO_FAVOURITE = N_("Removed from your favourites.")
WILL_TELL = N_("I will notify you when the pictures are ready.")
DONE_ALREADY = N_("These pictures are already finished.")
DONE = N_("Your pictures are ready.")
PAUSED = N_("**Waiting** · the bot is paused, and you keep your place in the queue")
PAUSED_REST = N_("the bot is paused, and the other pictures keep their place in the queue")
STARTING = N_("the bot is starting")
LOADING = N_("loading the model")
WAITING_TO_START = N_("**Waiting** · the bot is starting")
WAITING = N_("**Waiting**")
NEXT = N_("next in the queue")
TIME_LEFT = N_("{time} left")
NUM_DONE = N_("{done} of {total} done")
UNREAD = N_("The prompt was too long. The model did not read this part: “{words}”")
IDENTICAL = N_("**Identical** · every byte of the picture is the same.")
NEAR = N_("**Near** · {measured}: it looks the same.")
DIFFERENT = N_("**Different**")
DIFFERENT_BY = N_("**Different** · {measured}")
AI_GENERATED = N_("AI-generated")
PICTURES_LEFT_OUT = N_("The pictures are not shown here: {reason}. Open them with `/history`.")
WORDS_LEFT_OUT = N_("The prompt is not shown here: {reason}.")
UNKNOWN_WORDS = N_(
    "The model does not know: {words}. It is a small model that knows {things} …, colours ({colours} "
    "…) and a few scenes."
)
MAX_UNREAD = 160
_BEFORE_SIGN = re.compile(r"\s+([,.;:!?])")
"""A model's words come back with a space before every sign."""
ENLARGED, RESTORED = N_("**Enlarged {factor}×**"), N_("**Restored at the same size**")
TITLES = {
    JobKind.VARIED: N_("**Variations**"),
    JobKind.REMIXED: N_("**Remix**"),
    JobKind.REGION: N_("**Region repainted**"),
    JobKind.ZOOMED: N_("**Zoomed out**"),
    JobKind.DETAILED: N_("**Enlarged 2× with new detail**"),
    JobKind.COMPARED: N_("**Comparison**"),
    JobKind.EDITED: N_("**Edited**"),
}


# While it is made.


def build_progress(
    view: JobView, *, is_ready: bool, is_paused: bool = False, is_loading: bool = False, is_spoiler: bool = False
) -> MessageSpec:
    """Return the message of a job that has not ended.

    `is_paused`: nothing that waits is begun for now; `is_loading`: the model of what is begun is not in memory yet;
    `is_spoiler`: its pictures are behind a spoiler.
    """
    job = view.job
    is_painting = job.status is Status.RUNNING
    line = (
        _format_painting(view, is_ready=is_ready, is_paused=is_paused, is_loading=is_loading)
        if is_painting
        else _format_waiting(view, is_ready=is_ready, is_paused=is_paused)
    )
    blocks: list[Block] = [quote_prompts(job.request), line]
    if view.preview is not None:
        alt = _("Preview: {prompt}", prompt=job.images[0].spec.prompt)
        blocks.append(Gallery((Picture("preview.jpg", view.preview, alt, is_spoiler=is_spoiler),)))
    blocks.append(format_small(format_settings(job.request)))
    row = (Button(Action.CANCEL, job.id, _("Cancel")), Button(Action.TELL, job.id, _("Tell me when done")))
    return MessageSpec(blocks=tuple(blocks), rows=(row,), tone=Tone.PAINTING if is_painting else Tone.WAITING)


def _format_waiting(view: JobView, *, is_ready: bool, is_paused: bool) -> str:
    if is_paused:
        return _(PAUSED)
    if not is_ready:
        return _(WAITING_TO_START)
    ahead = view.images_ahead or 0
    place = ngettext("{number} picture ahead of yours", "{number} pictures ahead of yours", ahead)
    time = [bind_words(format_duration(view.wait_s))] if view.wait_s is not None else []
    return join_dotted([_(WAITING), place if ahead else _(NEXT), *time])


def _format_painting(view: JobView, *, is_ready: bool, is_paused: bool, is_loading: bool) -> str:
    parts = [f"{draw_bar(view.progress)} {format_part(view.progress)}"]
    job = view.job
    if is_ready and is_loading:
        parts.append(_(LOADING))
    if not is_ready:
        parts.append(_(STARTING))
    elif is_paused and any(image.status is Status.WAITING for image in job.images):
        parts.append(_(PAUSED_REST))
    elif view.wait_s is not None:
        parts.append(bind_words(_(TIME_LEFT, time=format_duration(view.wait_s))))
    done = sum(image.status.is_end for image in job.images)
    if done:
        parts.append(bind_words(_(NUM_DONE, done=done, total=len(job.images))))
    return join_dotted(parts)


# When it has ended.


def build_result(
    job: Job,
    pictures: dict[int, Picture],
    *,
    notes: Sequence[str] = (),
    verdict: ReplayVerdict | None = None,
    is_upscaled: bool = True,
    is_part: bool = False,
    sheet: Picture | None = None,
    guides: Sequence[Block] = (),
    share: Action | None = None,
) -> MessageSpec:
    """Return the message of a job that has ended. `pictures` by index of their image; `notes` go to the small print.

    `is_upscaled`, `is_part`, `share`: see `build_action_rows`. `sheet`, `guides`: of a comparison, of ControlNets.
    """
    blocks: list[Block] = [quote_prompts(job.request)]
    if (title := _get_title(job, verdict)) is not None:
        blocks.append(title)
    galleries = ((sheet,) if sheet is not None else (), tuple(pictures.values()))
    blocks += [Gallery(each) for each in galleries if each]
    blocks += (*guides, *list_troubles(job))
    done = [image for image in job.images if image.status is Status.DONE]
    blocks.append(
        "\n".join(
            format_small(line) for line in (_format_owner(job, is_painted=bool(done)), *_list_unread(job), *notes)
        )
    )
    tone = Tone.DONE if len(done) == len(job.images) else Tone.TROUBLE if _has_failed(job) else Tone.WAITING
    rows, menus = build_action_rows(job, done, is_upscaled=is_upscaled, is_part=is_part, share=share)
    return MessageSpec(blocks=tuple(blocks), rows=rows, menus=menus, tone=tone)


def _list_unread(job: Job) -> list[str]:
    """Return what the model did not read of a prompt that was too long for it: the same for all pictures of a job."""
    dropped = next((image.recipe.dropped for image in job.images if image.recipe is not None), "")
    if not dropped:
        return []
    words = escape_markdown(_BEFORE_SIGN.sub(r"\1", dropped), limit=MAX_UNREAD)
    return [_(UNREAD, words=words)]


def _get_title(job: Job, verdict: ReplayVerdict | None) -> str | None:
    if verdict is not None:
        return _format_verdict(verdict)
    kind, upscale = get_job_kind(job.request), job.request.spec.upscale
    if job.status is not Status.DONE:
        return None
    if kind is JobKind.ENLARGED and upscale is not None:
        return _(ENLARGED, factor=upscale.factor) if upscale.factor > 1 else _(RESTORED)
    return _(TITLES[kind]) if kind in TITLES else None


def _format_verdict(verdict: ReplayVerdict) -> str:
    if verdict.verdict is Agreement.IDENTICAL:
        return _(IDENTICAL)
    if verdict.verdict is Agreement.NEAR:
        head = _(NEAR, measured=f"{verdict.psnr_db:.0f} dB")
    elif verdict.psnr_db is None:
        head = _(DIFFERENT)
    else:
        head = _(DIFFERENT_BY, measured=f"{verdict.psnr_db:.0f} dB")
    return f"{head}\n{format_small(format_value(verdict.why))}"


def _has_failed(job: Job) -> bool:
    return any(image.status in (Status.FAILED, Status.WITHHELD) for image in job.images)


# Its parts.


def _format_owner(job: Job, *, is_painted: bool) -> str:
    """Return the settings, and whose they are; of what was painted also that no hand did it."""
    whom = bind_words(_("for {whom}", whom=f"<@{job.owner.user_id}>"))
    made = (_(AI_GENERATED),) if is_painted else ()
    return join_dotted((*made, format_settings(job.request), whom))


def build_picture(job: Job, image: Image, data: bytes) -> Picture:
    """Return a finished picture as a file with a telling name; its alt text says which of several it is."""
    suffix = "jpg" if data.startswith(b"\xff\xd8") else "png"
    number, total = image.index + 1, len(job.images)
    prompt = format_picture(job.request, image.spec)
    alt = prompt if total == 1 else _("{number} of {total}: {prompt}", number=number, total=total, prompt=prompt)
    own, slug = image.alt or "", make_slug(image.spec.prompt)
    return Picture(f"{slug}-{number}.{suffix}", data, own or alt, is_alt_whole=bool(own))


def list_left_out(why: str, *, files: bool, words: bool) -> list[str]:
    """Return what is missing from a message that Discord would not take whole. `why` is marked, and said here."""
    said = []
    if words:
        said.append(_(WORDS_LEFT_OUT, reason=_(why)))
    if files:
        said.append(_(PICTURES_LEFT_OUT, reason=_(why)))
    return said


def format_unknown_words(unknown: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    """Return what to say of the words that the built-in model does not know."""
    shown = ", ".join(escape_markdown(word, limit=24) for word in unknown[:6])
    if len(unknown) > 6:
        shown = ngettext("{words} and {number} more", "{words} and {number} more", len(unknown) - 6, words=shown)
    things = ", ".join(known.get("things", ())[:8])
    colours = ", ".join(known.get("colours", ())[:4])
    return _(
        UNKNOWN_WORDS,
        words=shown,
        things=things,
        colours=colours,
    )


def format_undelivered(reasons: Sequence[str]) -> str:
    """Told on the next occasion, when a result could not be posted."""
    return ngettext(
        "I could not post your pictures ({reason}). They are not lost: open them with `/history`.",
        "I could not post the pictures of {number} requests ({reason}). They are not lost: open them with `/history`.",
        len(reasons),
        reason=_(reasons[-1]),
    )
