"""What people read about their pictures, from “in line” to the finished gallery. Pure: values in, a message out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cogs.common.formatting import about, bar, bound, dotted, escaped, settings_line, slug, small
from cogs.common.messages import Action, Block, Button, Gallery, Picture, Say, Tone
from cogs.i18n.gettext import N_, _, in_words, listed, ngettext, percent, told
from cogs.results._action_rows import offers
from generation import errors
from generation.images.replay import Agreement, Verdict
from generation.jobs.job import Image, Job, Status
from generation.jobs.job_kind import Origin, origin_of
from generation.scheduling.active_jobs import JobView

NOTHING_TO_CANCEL = N_("There is nothing left to cancel: those pictures have ended.")
STILL_PAINTING = N_("These pictures are still being painted. Press Cancel first.")
RECODED = N_(
    "The original is too large to send here, so this is a smaller copy (JPEG). The exact file is kept: `/history` "
    "shows it where larger files may be sent."
)
TOO_LARGE = N_("A picture is too large to send here. It is kept: `/history` shows it where larger files may be sent.")
NO_WORDS = N_("(words left out)")
NOT_SHOWN_HERE = N_("A picture that the safety checker flagged is not shown here, nor one that it cannot judge.")
FILE_AWAY = N_("The file was cleared away since. Reproduce paints it again, byte for byte.")
STARTED_AWAY = N_(
    "The file was cleared away since. Reproduce paints it again, byte for byte, if what it starts from is still there."
)
FILE_GONE = N_("Deleted since.")
FLAGGED = N_("The safety checker flagged what is behind the spoiler.")
FAVOURITE = N_("Now one of your favourites: `/history show:favourites` has them. Press again to take it back.")
NO_FAVOURITE = N_("No longer one of your favourites.")
WILL_TELL = N_("I will tell you when it is done.")
DONE_ALREADY = N_("That is done already.")
DONE = N_("It is done.")
MAX_UNREAD = 160
_BEFORE_SIGN = re.compile(r"\s+([,.;:!?])")
"""A model's words come back with a space before every sign."""
_TITLES = {
    Origin.VARIED: N_("**Variations**"),
    Origin.REMIXED: N_("**Remix**"),
    Origin.REGION: N_("**Region painted again**"),
    Origin.ZOOMED: N_("**Zoomed out**"),
    Origin.DETAILED: N_("**Enlarged 2× with new detail**"),
    Origin.ENLARGED: N_("**Enlarged 2×**"),
}


# While it is made.


def progress(view: JobView, *, is_ready: bool, is_paused: bool = False) -> Say:
    """The message of a job that has not ended. `is_paused`: nothing that waits is begun for now."""
    job = view.job
    is_painting = job.status is Status.RUNNING
    write = _painting_line if is_painting else _waiting_line
    line = write(view, is_ready=is_ready, is_paused=is_paused)
    blocks: list[Block] = [quoted(job), line]
    if view.preview is not None:
        alt = _("Unfinished: {prompt}", prompt=job.request.spec.prompt)
        blocks.append(Gallery((Picture("preview.jpg", view.preview, alt),)))
    blocks.append(small(settings_line(job.request)))
    row = (Button(Action.CANCEL, job.id, _("Cancel")), Button(Action.TELL, job.id, _("Tell me when done")))
    return Say(blocks=tuple(blocks), rows=(row,), tone=Tone.PAINTING if is_painting else Tone.WAITING)


def _waiting_line(view: JobView, *, is_ready: bool, is_paused: bool) -> str:
    if is_paused:
        return _("**Waiting** · the painter is having a break, and you keep your place in line")
    if not is_ready:
        return _("**Waiting** · the painter is warming up")
    ahead = view.images_ahead or 0
    place = ngettext("{number} picture ahead of yours", "{number} pictures ahead of yours", ahead)
    time = [bound(about(view.wait_s))] if view.wait_s is not None else []
    return dotted([_("**Waiting**"), place if ahead else _("next in line"), *time])


def _painting_line(view: JobView, *, is_ready: bool, is_paused: bool) -> str:
    parts = [f"{bar(view.progress)} {percent(view.progress)}"]
    job = view.job
    if not is_ready:
        parts.append(_("the painter is warming up"))
    elif is_paused and any(image.status is Status.WAITING for image in job.images):
        parts.append(_("the painter is having a break, and the rest keeps its place in line"))
    elif view.wait_s is not None:
        parts.append(bound(_("{time} left", time=about(view.wait_s))))
    done = sum(image.status.is_end for image in job.images)
    if done:
        parts.append(bound(_("{done} of {total} done", done=done, total=len(job.images))))
    return dotted(parts)


# When it has ended.


def result(job: Job, pictures: dict[int, Picture], *, notes: Sequence[str] = (), verdict: Verdict | None = None) -> Say:
    """The message of a job that has ended. `pictures` by index of their image; `notes` go to the small print."""
    blocks: list[Block] = [quoted(job)]
    if (title := _title(job, verdict)) is not None:
        blocks.append(title)
    if pictures:
        blocks.append(Gallery(tuple(pictures.values())))
    blocks += _troubles(job)
    done = [image for image in job.images if image.status is Status.DONE]
    blocks.append("\n".join(small(line) for line in (_for_whom(job, is_painted=bool(done)), *_unread(job), *notes)))
    tone = Tone.DONE if len(done) == len(job.images) else Tone.TROUBLE if _went_wrong(job) else Tone.WAITING
    rows, menu = offers(job, done)
    return Say(blocks=tuple(blocks), rows=rows, menu=menu, tone=tone)


def _unread(job: Job) -> list[str]:
    """What the model did not read of a prompt that was too long for it: the same for all pictures of a job."""
    dropped = next((image.recipe.dropped for image in job.images if image.recipe is not None), "")
    if not dropped:
        return []
    words = escaped(_BEFORE_SIGN.sub(r"\1", dropped), limit=MAX_UNREAD)
    return [_("The prompt was too long for the model, which did not read: “{words}”", words=words)]


def _title(job: Job, verdict: Verdict | None) -> str | None:
    if verdict is not None:
        return _verdict_line(verdict)
    title = _TITLES.get(origin_of(job.request)) if job.status is Status.DONE else None
    return None if title is None else _(title)


def _verdict_line(verdict: Verdict) -> str:
    if verdict.verdict is Agreement.IDENTICAL:
        return _("**Identical** · every byte of the picture came out the same.")
    if verdict.verdict is Agreement.NEAR:
        head = _("**Near** · {measured}: the same to the eye.", measured=f"{verdict.psnr_db:.0f} dB")
    elif verdict.psnr_db is None:
        head = _("**Different**")
    else:
        head = _("**Different** · {measured}", measured=f"{verdict.psnr_db:.0f} dB")
    return f"{head}\n{small(in_words(verdict.why))}"


def _troubles(job: Job) -> list[str]:
    """What did not become a picture, and why: the same reason is said once, with the numbers of those it concerns."""
    if all(image.status is Status.CANCELLED for image in job.images):
        return [_cancelled_line(job)]
    reasons = {image.index: reason for image in job.images if (reason := _reason(image)) is not None}
    concerned: dict[str, list[int]] = {}
    for index, reason in reasons.items():
        concerned.setdefault(reason, []).append(index)
    return [
        reason if len(indexes) == len(job.images) else f"**{listed([str(index + 1) for index in indexes])}** · {reason}"
        for reason, indexes in concerned.items()
    ]


def _reason(image: Image) -> str | None:
    """Why an image is not to be seen; None for one that is."""
    if image.status is Status.CANCELLED:
        return _("Stopped before being painted.")
    if image.status is not Status.DONE:
        return _failure(image)
    return _(FILE_GONE) if image.file_sha256 is None else None


def _cancelled_line(job: Job) -> str:
    started = any(image.charged for image in job.images)
    if started:
        return _("**Cancelled** · only the strokes painted so far count.")
    return _("**Cancelled** · it costs nothing.")


def _failure(image: Image) -> str:
    """The sentence of the error an image ended with."""
    kind = getattr(errors, image.error or "", errors.Failed)
    if isinstance(kind, type) and issubclass(kind, errors.Failed):
        return told(kind(attempts=image.attempt))
    if image.error == errors.InvalidRequest.__name__:
        return _(
            "The painter could not use what was asked for: a LoRA, a learned word, the size or the recipe has changed, "
            "or does not fit this model. It costs nothing."
        )
    return told(errors.Failed())


def _went_wrong(job: Job) -> bool:
    return any(image.status in (Status.FAILED, Status.WITHHELD) for image in job.images)


# Its parts.


def quoted(job: Job) -> str:
    """The prompt, as a quotation."""
    return f"> {escaped(job.request.spec.prompt)}"


def _for_whom(job: Job, *, is_painted: bool) -> str:
    """The settings, and whose they are; of what was painted also that no hand did it."""
    whom = bound(_("for {whom}", whom=f"<@{job.owner.user_id}>"))
    made = (_("AI-generated"),) if is_painted else ()
    return dotted((*made, settings_line(job.request), whom))


def picture(job: Job, image: Image, data: bytes) -> Picture:
    """A finished picture as a file with a telling name; its alt text is the prompt, and which of several it is."""
    suffix = "jpg" if data.startswith(b"\xff\xd8") else "png"
    prompt, number, total = job.request.spec.prompt, image.index + 1, len(job.images)
    alt = prompt if total == 1 else _("{number} of {total}: {prompt}", number=number, total=total, prompt=prompt)
    return Picture(f"{slug(prompt)}-{number}.{suffix}", data, alt)


def left_out(why: str, *, files: bool, words: bool) -> list[str]:
    """What is missing from a message that Discord would not take whole. `why` is marked, and said here."""
    said = []
    if words:
        said.append(_("The words are left out here: {reason}.", reason=_(why)))
    if files:
        said.append(_("The pictures are not shown here: {reason}. Open them with `/history`.", reason=_(why)))
    return said


def unknown_words_note(unknown: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    """The built-in model knows few words: better to say so than to let people wonder."""
    shown = ", ".join(escaped(word, limit=24) for word in unknown[:6])
    if len(unknown) > 6:
        shown = ngettext("{words} and {number} more", "{words} and {number} more", len(unknown) - 6, words=shown)
    things = ", ".join(known.get("things", ())[:8])
    colours = ", ".join(known.get("colours", ())[:4])
    return _(
        "I do not know: {words}. I am a small model that knows {things} …, colours ({colours} …) and a few scenes.",
        words=shown,
        things=things,
        colours=colours,
    )


def kept(reasons: Sequence[str]) -> str:
    """Told on the next occasion, when a result could not be posted."""
    return ngettext(
        "I painted a picture for you that I could not post ({reason}). You find it in `/history`, "
        "and nothing was lost.",
        "I painted {number} sets of pictures for you that I could not post ({reason}). You find them in `/history`, "
        "and nothing was lost.",
        len(reasons),
        reason=_(reasons[-1]),
    )
