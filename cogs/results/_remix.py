"""Remix and vary region: a button opens a form, and the sent form is a request. Neither keeps anything in between."""

from __future__ import annotations

import asyncio
from functools import partial

from cogs.common.attachments import lend_files, require_size_px
from cogs.common.errors import PartsOrMaskError
from cogs.common.forms import Answers, File, Form, Pick, Text
from cogs.common.lookups import fetch_image_to_change, fetch_job_to_change
from cogs.common.messages import Action
from cogs.common.modals import open_form
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.common.transformers import clean_typed_prompt
from cogs.context import FormHandler, Interaction
from cogs.i18n.gettext import N_, _
from cogs.results._form_fields import (
    GUIDANCE,
    NEGATIVE,
    PROMPT,
    SEED,
    STRENGTH,
    build_guidance_field,
    build_prompt_field,
    build_seed_field,
    build_strength_field,
    get_answer,
    parse_number,
    parse_whole,
)
from generation.images.region import CELLS
from generation.jobs.derive_edits import (
    REGION_STRENGTH,
    RemixOptions,
    get_remix_options,
    inpaint_cells,
    inpaint_mask,
    remix,
)
from generation.jobs.errors import PictureDeletedError
from generation.jobs.job import Image, Job
from generation.requests.prompt import MAX_PROMPT_CHARS
from generation.requests.seeds import draw_seed
from generation.requests.unfetched import NO_FILE
from generation.translatable import Phrase

NEGATIVE_LABEL = N_("What to avoid")

CELLS_KEY, MASK = "cells", "mask"


# Remix.


async def press_remix(interaction: Interaction, subject: str) -> None:
    job = await fetch_job_to_change(interaction, subject)
    now = get_remix_options(job)
    can_start = now.strength is not None or _get_only_image(job, subject) is not None
    negative = Text(key=NEGATIVE, label=_(NEGATIVE_LABEL), value=now.negative, is_long=True, max_chars=MAX_PROMPT_CHARS)
    fields = (
        build_prompt_field(now.prompt),
        negative,
        build_guidance_field(now.guidance),
        build_seed_field(now.seed),
        *((build_strength_field(now.strength),) if can_start else ()),
    )
    await open_form(interaction, Form(action=Action.REMIX, subject=subject, title=_("Remix"), fields=fields))


async def send_remix(interaction: Interaction, subject: str, answers: Answers) -> None:
    job = await fetch_job_to_change(interaction, subject)
    texts, now = answers.texts, get_remix_options(job)
    guidance, seed, strength = (get_answer(texts, key) for key in (GUIDANCE, SEED, STRENGTH))
    wishes = RemixOptions(
        prompt=clean_typed_prompt(texts.get(PROMPT)),
        negative=clean_typed_prompt(texts.get(NEGATIVE)),
        guidance=parse_number(guidance, name=Phrase("Guidance")) if guidance else now.guidance,
        seed=parse_whole(seed, name=Phrase("Seed")) if seed else draw_seed(),
        strength=parse_number(strength, name=Phrase("Strength")) if strength else None,
    )
    model = interaction.client.services.generation.catalog.get(job.request.spec.model)
    await acknowledge_and_submit(
        interaction, remix(job, wishes, model, picture=_get_only_image(job, subject)).shown_like(job.request)
    )


def _get_only_image(job: Job, subject: str) -> Image | None:
    """Return the one picture of a job that has one: only there is it plain what to start from."""
    return job.images[0] if len(job.images) == 1 and job.request.spec.upscale is None else None


# Vary region.


async def press_region(interaction: Interaction, subject: str) -> None:
    image = (await fetch_image_to_change(interaction, subject)).image
    if image.file_sha256 is None:
        raise PictureDeletedError
    cells = Pick(
        key=CELLS_KEY,
        label=_("Which parts"),
        choices=tuple((_(name).capitalize(), str(number)) for number, name in enumerate(CELLS)),
        hint=_("The picture is split into three rows of three parts."),
    )
    size = "{} × {}".format(*image.spec.result_size_px)
    hint = _("A picture of {size}. White parts are repainted.", size=size)
    mask = File(key=MASK, label=_("Or a mask"), hint=hint)
    strength = build_strength_field(REGION_STRENGTH)
    fields = (build_prompt_field(image.spec.written), cells, mask, strength)
    await open_form(interaction, Form(action=Action.REGION, subject=subject, title=_("Vary a region"), fields=fields))


async def send_region(interaction: Interaction, subject: str, answers: Answers) -> None:
    job, image = await fetch_image_to_change(interaction, subject)
    prompt = clean_typed_prompt(answers.texts.get(PROMPT))
    strength = parse_number(answers.texts.get(STRENGTH, ""), name=Phrase("Strength"))
    cells = tuple(int(each) for each in answers.picked.get(CELLS_KEY, ()) if each.isdecimal())
    file = answers.files.get(MASK)
    if (file is None) == (not cells):
        raise PartsOrMaskError
    seed, model = draw_seed(), interaction.client.services.generation.catalog.get(image.spec.model)
    if file is None:
        drawing = partial(inpaint_cells, image, cells, model, prompt=prompt, seed=seed, strength=strength)
        request = await asyncio.to_thread(drawing)  # it hashes a mask as large as the picture
        await acknowledge_and_submit(interaction, request.shown_like(job.request))
        return
    size_px = image.spec.result_size_px
    require_size_px(file.size_px, size_px)
    redraw = partial(inpaint_mask, image, model=model, prompt=prompt, seed=seed, strength=strength)
    trial = redraw(NO_FILE).shown_like(job.request)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        mask, mask_px = await lent.keep_attached(file, lambda picture_px: size_px, is_mask=True)
        require_size_px(mask_px, size_px)
        await submit(interaction, redraw(mask).shown_like(job.request), acknowledged, attached={mask})


PRESSES = {Action.REMIX: press_remix, Action.REGION: press_region}
FORMS: dict[Action, FormHandler] = {Action.REMIX: send_remix, Action.REGION: send_region}
