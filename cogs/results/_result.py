"""Brings together what a finished message shows: the job, its files from disk, the verdict of a reproduction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from cogs.common.message_limits import share_room
from cogs.common.messages import Action, MessageSpec, Picture
from cogs.common.picture_visibility import is_flagged
from cogs.i18n.gettext import _
from cogs.results import _messages
from cogs.results._by_picture import list_painted_elsewhere
from cogs.results._guides import build_guides
from cogs.results._reduced_variants import MessageVariant
from cogs.results._sheet import build_sheet
from cogs.services import Services
from generation.admission.gate import fetch_visibility
from generation.errors import InvalidRequestError
from generation.images.c2pa import ROOM_BYTES, Credentials
from generation.images.codec import decode_png, shrink
from generation.images.metadata import read_recipe
from generation.images.replay import ReplayVerdict, judge
from generation.images.signing import sign
from generation.images.store import ImageFiles
from generation.jobs.job import Image, Job, Status
from generation.models.catalog import PAINTBOX
from generation.models.sizes import is_upscaled
from generation.owner import DM_TENANT
from generation.paintbox.vocabulary import find_unknown_words, suggest_known_words
from generation.policy.policy import ChannelContext
from generation.requests.ranges import MAX_COUNT
from generation.requests.recipe import Fingerprint, Recipe
from generation.safety.visibility import Shown
from generation.translatable import Phrase

log = logging.getLogger(__name__)
MAX_REQUEST_BYTES = 24 * 1024 * 1024
"""Discord takes 25 MiB at once, files and words together."""


@dataclass(frozen=True, slots=True)
class ResultContext:
    """What a message needs beside its job: files, keys, and whether an upscaler enlarges the pictures of its model."""

    files: ImageFiles
    credentials: Credentials | None
    is_upscaled: bool
    is_part: bool = False
    share: Action | None = None
    """What may be done about a shared post of it."""


async def build_result_message(
    job: Job, services: Services, *, variant: MessageVariant, place: ChannelContext, is_part: bool = False
) -> MessageSpec:
    """Return the message of an ended job, with its pictures re-encoded where a file is over the variant's limit.

    `place`: where it will be read. What may not be shown there is left out, or is behind a spoiler. `is_part`: the job
    is one picture of several.
    """
    shown = await fetch_visibility(job, services, place)
    context = ResultContext(
        files=services.generation.files,
        credentials=services.credentials,
        is_upscaled=any(
            is_upscaled(each)
            for each in services.generation.catalog.models
            if each.name in {spec.model for spec in job.request.specs}
        ),
        is_part=is_part,
        share=await _find_share_action(job, services),
    )
    return await asyncio.to_thread(_build_message, job, variant, shown, context)


def _build_message(
    job: Job, variant: MessageVariant, shown: Mapping[int, Shown], context: ResultContext
) -> MessageSpec:
    files, verdict = context.files, _compare(job, context.files)
    notes = [*(_list_notes(job) if variant.has_words else []), *list_painted_elsewhere(job)]
    job = job if variant.has_words else _remove_words(job)
    pictures: dict[int, Picture] = {}
    sheet: Picture | None = None
    if variant.has_files:
        pngs = {
            image.index: read_png(image, files) if shown[image.index] is not Shown.NOT else None for image in job.images
        }
        sheet = build_sheet(job, pngs, shown)
        room = MAX_REQUEST_BYTES - (len(sheet.data) if sheet is not None else 0)
        pictures, more = _build_pictures(job, pngs, variant, shown, context.credentials, room)
        notes += more
    if variant.why is not None:
        notes += _messages.list_left_out(variant.why, files=not variant.has_files, words=not variant.has_words)
    if any(shown[index] is Shown.SPOILER and is_flagged(job.images[index]) for index in pictures):
        notes.append(_(_messages.FLAGGED))
    if any(shown[image.index] is Shown.NOT and image.status is Status.DONE for image in job.images):
        notes.append(_(_messages.NOT_SHOWN_HERE))
    guides = build_guides(job, shown, files, room=MAX_COUNT - len(pictures)) if pictures and variant.has_words else ()
    return _messages.build_result(
        job,
        pictures,
        guides=guides,
        notes=notes,
        verdict=verdict,
        is_upscaled=context.is_upscaled,
        is_part=context.is_part,
        sheet=sheet,
        share=context.share,
    )


async def _find_share_action(job: Job, services: Services) -> Action | None:
    """Return what its button does: share it, where the server chose where, or take back what is shared."""
    if job.owner.guild_id == DM_TENANT:
        return None
    share = await services.shares.fetch(job.id)
    if share is not None and share.message_id is not None:
        return Action.UNSHARE
    chosen = (await services.guild_policy.fetch(job.owner.guild_id)).choices.share_channel_id
    return Action.SHARE if chosen else None


def _build_pictures(
    job: Job,
    pngs: Mapping[int, bytes | None],
    variant: MessageVariant,
    shown: Mapping[int, Shown],
    credentials: Credentials | None,
    room: int,
) -> tuple[dict[int, Picture], list[str]]:
    """Return the pictures by the index of their image, and what there is to say of how they are shown.

    `room`: for all files together, in bytes.
    """
    notes: dict[str, None] = {}
    pictures: dict[int, Picture] = {}
    sizes = [len(png) + ROOM_BYTES for png in pngs.values() if png is not None]
    size_limit = min(variant.size_limit, share_room(sizes, room))
    credentials = credentials if size_limit > 2 * ROOM_BYTES else None
    size_limit -= ROOM_BYTES if credentials else 0
    for image in job.images:
        png = pngs[image.index]
        if png is None:
            if is_away(image) and shown[image.index] is not Shown.NOT:
                notes[_(_explain_away(job, image))] = None
            continue
        data = png if len(png) <= size_limit else _shrink(png, size_limit)
        if data is not png:
            notes[_(_messages.TOO_LARGE if data is None else _messages.RECODED)] = None
        if data is not None:
            picture = _messages.build_picture(job, image, sign(data, image.id, image.spec, credentials))
            pictures[image.index] = replace(picture, is_spoiler=shown[image.index] is Shown.SPOILER)
    return pictures, list(notes)


def _explain_away(job: Job, image: Image) -> str:
    """Return what can be done about a file that was cleared away."""
    if image.recipe is not None and image.recipe.fingerprint.cloud:
        return _messages.CLOUD_AWAY
    return _messages.STARTED_AWAY if job.request.spec.files else _messages.FILE_AWAY


def _shrink(png: bytes, max_bytes: int) -> bytes | None:
    try:
        return shrink(png, max_bytes=max_bytes)
    except InvalidRequestError:
        return None


def _remove_words(job: Job) -> Job:
    """Return the job as it is shown where its own words are not taken: in the text, the file names and the alt
    texts."""
    blank: dict[str, Any] = {"prompt": _(_messages.NO_WORDS), "negative": "", "template": UNSET}
    images = tuple(
        replace(
            each,
            spec=replace(each.spec, **blank),
            alt=None,
            recipe=each.recipe and replace(each.recipe, dropped=""),
        )
        for each in job.images
    )
    spec, cells = replace(job.request.spec, **blank), job.request.cells
    hidden = tuple(replace(cell, **blank) for cell in cells) if cells else UNSET
    return replace(job, request=replace(job.request, spec=spec, drawn=UNSET, cells=hidden), images=images)


def read_png(image: Image, files: ImageFiles) -> bytes | None:
    """Return the file of a finished picture; None if it was deleted or is away."""
    if image.status is not Status.DONE or image.file_sha256 is None:
        return None
    return files.get(image.file_sha256)


def is_away(image: Image) -> bool:
    """Return whether its file was cleared away, not deleted: the row still names it."""
    return image.status is Status.DONE and image.file_sha256 is not None


def _list_notes(job: Job) -> list[str]:
    """Return what there is to say of the pictures that were painted, before any is looked at."""
    painted = [image.spec for image in job.images if image.status is Status.DONE and image.spec.model == PAINTBOX]
    prompts = dict.fromkeys(prompt for spec in painted for prompt in spec.row_prompts)
    unknown = tuple(dict.fromkeys(word for prompt in prompts for word in find_unknown_words(prompt)))
    return [_messages.format_unknown_words(unknown, suggest_known_words())] if unknown else []


def _compare(job: Job, files: ImageFiles) -> ReplayVerdict | None:
    """Return whether a reproduction came out the same; None for other jobs, and for one that was not made."""
    image, replay = job.images[0], job.request.replay
    if replay is None or image.recipe is None or (png := read_png(image, files)) is None:
        return None
    promised, original = _find_promised(image.recipe, replay.pixels_sha256, replay.original, files)
    if job.request.parent is None:
        promised = _replace_foreign_facts(promised, image.recipe)
    return judge(promised, decode_png(png)[0], image.recipe.fingerprint, original=original)


def _replace_foreign_facts(promised: Recipe, made: Recipe) -> Recipe:
    """Return the recipe of a file with its facts in our words: an attached file may say anything."""
    there, here = promised.fingerprint.facts, made.fingerprint.facts
    facts = {name: fact if there.get(name) == fact else Phrase("another") for name, fact in here.items()}
    return replace(promised, fingerprint=Fingerprint(facts))


def _find_promised(
    made: Recipe, pixels_sha256: str, original: str | None, files: ImageFiles
) -> tuple[Recipe, bytes | None]:
    """Return what the reproduction was to match: the recipe in the original's file, and its pixels."""
    png = files.get(original) if original is not None else None
    if png is not None:
        try:
            return read_recipe(png), decode_png(png)[0]
        except InvalidRequestError:
            pass  # the original is an attached file that lost its recipe: its hash still counts
    return Recipe(
        spec=made.spec,
        model_sha256=made.model_sha256,
        trace=made.trace,
        fingerprint=made.fingerprint,
        pixels_sha256=pixels_sha256,
        parents=made.parents,
    ), None
