"""What people read about their pictures, from “in line” to the finished gallery. Pure: values in, a message out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cogs.offers import offers
from cogs.say import Action, Block, Button, Gallery, Picture, Say, Tone
from cogs.words import about, bar, escaped, plural, settings_line, slug, small
from generation import errors
from generation.job import Image, Job, Status
from generation.live import JobView
from generation.origin import Origin, origin_of
from generation.replay import Agreement, Verdict

ACCEPTED = "Just a moment…"
CANCELLING = "I stop at the next brush stroke."
NOTHING_TO_CANCEL = "There is nothing left to cancel: those pictures have ended."
NOTHING_OF_YOURS = "You have nothing in line here."
STILL_PAINTING = "These pictures are still being painted. Press Cancel first."
DELETED_ELSEWHERE = "Those pictures are gone, here and from my disk."
NO_PICTURE = "There is no picture of that number in this message."
KEPT = (
    "I painted {pictures} for you that I could not post ({reason}). You find {them} in `/history`, "
    "and nothing was lost."
)
RECODED = "The original is too large to send here, so this is a JPEG. The exact file is kept."
ROUNDED = "I paint {width} × {height} instead of {typed}: sides go in steps."
NOT_SHOWN_HERE = "A picture that the safety checker flagged is not shown here."
FILE_AWAY = "The file was cleared away since. Reproduce paints it again, byte for byte."
FILE_GONE = "The file was deleted since."
FAVOURITE = "Now one of your favourites: `/history show:favourites` has them. Press again to take it back."
NO_FAVOURITE = "No longer one of your favourites."
WILL_TELL = "I tell you when it is done."
ADOPTED = "That file is from {tool}: I paint with its settings and my own model and noise, so it is another picture."
DONE_ALREADY = "That is done already."
DONE = "Your pictures are done."
_TITLES = {
    Origin.VARIED: "**Variations**",
    Origin.REMIXED: "**Remix**",
    Origin.REGION: "**Region painted again**",
    Origin.ZOOMED: "**Zoomed out**",
    Origin.DETAILED: "**Enlarged 2× with new detail**",
    Origin.ENLARGED: "**Enlarged 2×**",
}


# While it is made.


def progress(view: JobView, *, is_ready: bool) -> Say:
    """The message of a job that has not ended."""
    job = view.job
    is_painting = job.status is Status.RUNNING
    line = _painting_line(view) if is_painting else _waiting_line(view, is_ready=is_ready)
    blocks: list[Block] = [quoted(job), line]
    if view.preview is not None:
        alt = f"Unfinished: {job.request.spec.prompt}"
        blocks.append(Gallery((Picture("preview.jpg", view.preview, alt),)))
    blocks.append(small(settings_line(job.request)))
    row = (Button(Action.CANCEL, job.id, "Cancel"), Button(Action.TELL, job.id, "Tell me when done"))
    return Say(blocks=tuple(blocks), rows=(row,), tone=Tone.PAINTING if is_painting else Tone.WAITING)


def _waiting_line(view: JobView, *, is_ready: bool) -> str:
    if not is_ready:
        return "**Waiting** · the painter is warming up"
    ahead = view.images_ahead or 0
    place = "next in line" if ahead == 0 else f"{plural(ahead, 'picture')} ahead of yours"
    return " · ".join(["**Waiting**", place, *_time(view, "{}")])


def _painting_line(view: JobView) -> str:
    parts = [f"{bar(view.progress)} {view.progress:.0%}", *_time(view, "{} left")]
    job = view.job
    done = sum(image.status.is_end for image in job.images)
    if done:
        parts.append(f"{done} of {len(job.images)} done")
    return " · ".join(parts)


def _time(view: JobView, form: str) -> list[str]:
    return [form.format(about(view.wait_s))] if view.wait_s is not None else []


def rounded(typed: str, job: Job) -> str | None:
    """Told to the person whose size had to be changed."""
    spec = job.request.spec
    if [int(number) for number in re.findall(r"\d+", typed)] == [spec.width_px, spec.height_px]:
        return None
    return ROUNDED.format(typed=escaped(typed, limit=20), width=spec.width_px, height=spec.height_px)


# When it has ended.


def result(job: Job, pictures: dict[int, Picture], *, notes: Sequence[str] = (), verdict: Verdict | None = None) -> Say:
    """The message of a job that has ended. `pictures` by index of their image; `notes` go to the small print."""
    blocks: list[Block] = [quoted(job)]
    if (title := _title(job, verdict)) is not None:
        blocks.append(title)
    if pictures:
        blocks.append(Gallery(tuple(pictures.values())))
    blocks += _troubles(job)
    blocks.append("\n".join(small(line) for line in (_for_whom(job), *_unread(job), *notes)))
    done = [image for image in job.images if image.status is Status.DONE]
    tone = Tone.DONE if len(done) == len(job.images) else Tone.TROUBLE if _went_wrong(job) else Tone.WAITING
    rows, menu = offers(job, done)
    return Say(blocks=tuple(blocks), rows=rows, menu=menu, tone=tone)


def _unread(job: Job) -> list[str]:
    """What the model did not read of a prompt that was too long for it: the same for all pictures of a job."""
    dropped = next((image.recipe.dropped for image in job.images if image.recipe is not None), "")
    return [f"The prompt was too long for the model, which did not read: “{escaped(dropped)}”"] if dropped else []


def _title(job: Job, verdict: Verdict | None) -> str | None:
    if verdict is not None:
        return _verdict_line(verdict)
    return _TITLES.get(origin_of(job.request)) if job.status is Status.DONE else None


def _verdict_line(verdict: Verdict) -> str:
    match verdict.verdict:
        case Agreement.IDENTICAL:
            return "**Identical** · every byte of the picture came out the same."
        case Agreement.NEAR:
            return f"**Near** · {verdict.psnr_db:.0f} dB: the same to the eye.\n{small(verdict.why)}"
        case Agreement.DIFFERENT:
            measured = f" · {verdict.psnr_db:.0f} dB" if verdict.psnr_db is not None else ""
            return f"**Different**{measured}\n{small(verdict.why)}"


def _troubles(job: Job) -> list[str]:
    """What did not become a picture, and why: the same reason is said once."""
    if all(image.status is Status.CANCELLED for image in job.images):
        return [_cancelled_line(job)]
    lines: dict[str, None] = {}
    for image in job.images:
        if image.status is Status.CANCELLED:
            lines["Stopped before the rest was painted."] = None
        elif image.status is not Status.DONE:
            lines[_failure(image)] = None
        elif image.file_sha256 is None:
            lines[FILE_GONE] = None
    return list(lines)


def _cancelled_line(job: Job) -> str:
    started = any(image.charged for image in job.images)
    return "**Cancelled** · " + ("only the strokes painted so far count." if started else "it costs nothing.")


def _failure(image: Image) -> str:
    """The sentence of the error an image ended with."""
    kind = getattr(errors, image.error or "", errors.Failed)
    if isinstance(kind, type) and issubclass(kind, errors.Failed):
        return str(kind(attempts=image.attempt))
    if image.error == errors.InvalidRequest.__name__:
        return "The picture this one starts from is not on disk any more. It costs nothing."
    return str(errors.Failed())


def _went_wrong(job: Job) -> bool:
    return any(image.status in (Status.FAILED, Status.WITHHELD) for image in job.images)


# Its parts.


def quoted(job: Job) -> str:
    """The prompt, as a quotation."""
    return f"> {escaped(job.request.spec.prompt)}"


def _for_whom(job: Job) -> str:
    return f"AI-generated · {settings_line(job.request)} · for <@{job.owner.user_id}>"


def picture(job: Job, image: Image, data: bytes) -> Picture:
    """A finished picture as a file with a telling name; its alt text is the prompt."""
    suffix = "jpg" if data.startswith(b"\xff\xd8") else "png"
    return Picture(f"{slug(job.request.spec.prompt)}-{image.index + 1}.{suffix}", data, job.request.spec.prompt)


def unknown_words_note(unknown: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    """The built-in model knows few words: better to say so than to let people wonder."""
    shown = ", ".join(escaped(word, limit=24) for word in unknown[:6]) + (" …" if len(unknown) > 6 else "")
    things = ", ".join(known.get("things", ())[:8])
    colours = ", ".join(known.get("colours", ())[:4])
    return f"I do not know: {shown}. I am a small model that knows {things} …, colours ({colours} …) and a few scenes."


def kept(reasons: Sequence[str]) -> str:
    """Told on the next occasion, when a result could not be posted."""
    number = len(reasons)
    return KEPT.format(
        pictures="a picture" if number == 1 else f"{number} sets of pictures",
        them="it" if number == 1 else "them",
        reason=reasons[-1],
    )
