"""The commands in the menu of a message (“Apps”): start from its picture, show its recipe, enlarge it."""

from __future__ import annotations

import asyncio

import discord
from discord import app_commands

from cogs.common.components import list_custom_ids
from cogs.common.custom_ids import find_job_id
from cogs.common.errors import NoPictureInMessageError, PictureNumberError, SeveralPicturesError
from cogs.common.forms import Answers, Attached, Field, Form
from cogs.common.lookups import Found, fetch_image_to_change, fetch_job
from cogs.common.member_defaults import fetch_default_model, fetch_editor
from cogs.common.message_images import find_pictures
from cogs.common.messages import Action
from cogs.common.modals import open_form
from cogs.common.policy_checks import require_may_request
from cogs.common.submission import acknowledge_and_submit
from cogs.common.transformers import clean_typed_prompt
from cogs.context import Interaction, get_owner
from cogs.i18n.gettext import _
from cogs.imagine import (
    DEFAULT_STRENGTH,
    Guide,
    Reference,
    fill_in,
    submit_edit,
    submit_from_image,
    submit_guided,
    submit_upscale,
    tell_notes,
)
from cogs.recipe import show_file, show_recipe
from cogs.results._buttons import submit_enlargement
from cogs.results._form_fields import (
    EDIT,
    NUMBER,
    PROMPT,
    STRENGTH,
    USE,
    build_number_field,
    build_prompt_field,
    build_strength_field,
    build_use_field,
    list_network_fields,
    list_networks,
    parse_number,
)
from generation.jobs.derive_edits import guide_by_image, replace_prompt, start_from_image
from generation.jobs.job import JOB_ID_LENGTH, Image, Job
from generation.models.catalog import Model
from generation.requests.errors import NoControlError, NoEditorError
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE
from generation.translatable import Phrase


@app_commands.context_menu(name="Use as start image")
async def use_as_start(interaction: Interaction, message: discord.Message) -> None:
    job = await _find_job(interaction, message)
    fields: list[Field] = [
        build_prompt_field(job.request.spec.written if job is not None else ""),
        build_strength_field(DEFAULT_STRENGTH),
    ]
    if job is None:
        subject = await _hold(interaction, message)
    else:
        subject = job.id
        if len(job.images) > 1:
            fields.append(build_number_field(len(job.images)))
    if (editor := await _find_editor(interaction, job)) is not None:
        fields.insert(0, build_use_field(editor))
    form = Form(action=Action.START, subject=subject, title=_("Start from this picture"), fields=tuple(fields))
    await open_form(interaction, form)


async def send_start(interaction: Interaction, subject: str, answers: Answers) -> None:
    prompt = clean_typed_prompt(answers.texts.get(PROMPT))
    if answers.texts.get(USE) == EDIT:
        await _send_edit(interaction, subject, prompt, answers.texts.get(NUMBER, "1"))
        return
    strength = parse_number(answers.texts.get(STRENGTH, ""), name=Phrase("Strength"))
    if len(subject) != JOB_ID_LENGTH:
        file = await _take(interaction, subject)
        typed = await fill_in(interaction, prompt, {"has_picture": True})
        await tell_notes(interaction, typed, await submit_from_image(interaction, typed, file, strength=strength))
        return
    job = await fetch_job(interaction, subject)
    image = _choose_image(job, answers.texts.get(NUMBER, "1"))
    spec = start_from_image(image, strength=strength, seed=draw_seed())
    model = interaction.client.services.generation.catalog.get(spec.model)
    request = GenerationRequest(spec=replace_prompt(spec, model, prompt), parent=image.id)
    await acknowledge_and_submit(interaction, request.shown_like(job.request))


async def _send_edit(interaction: Interaction, subject: str, prompt: str, number: str) -> None:
    picture: Found | Attached
    job = None
    if len(subject) == JOB_ID_LENGTH:
        job = await fetch_job(interaction, subject)
        picture = Found(job, _choose_image(job, number))
    else:
        picture = await _take(interaction, subject)
    editor = await _find_editor(interaction, job)
    if editor is None:
        raise NoEditorError
    typed = await fill_in(interaction, prompt, {"has_picture": True, "model": editor})
    await tell_notes(interaction, typed, await submit_edit(interaction, typed, [picture]))


async def _find_editor(interaction: Interaction, job: Job | None) -> Model | None:
    """Return the model that edits a picture: the one that painted it, if it can and may, else the one that edits here;
    None if there is none."""
    try:
        return await fetch_editor(interaction, painted_by=job.request.spec.model if job else None)
    except NoEditorError:
        return None


@app_commands.context_menu(name="Use as guide")
async def use_as_guide(interaction: Interaction, message: discord.Message) -> None:
    job, catalog = await _find_job(interaction, message), interaction.client.services.generation.catalog
    model = await fetch_default_model(interaction) if job is None else catalog.get(job.request.spec.model)
    if not model.controls and not model.ip_adapters:
        raise NoControlError(model=model.name)
    prompt = job.request.spec.written if job is not None else ""
    fields: list[Field] = [build_prompt_field(prompt), *list_network_fields(model)]
    if job is not None and len(job.images) > 1:
        fields.append(build_number_field(len(job.images)))
    subject = job.id if job is not None else await _hold(interaction, message)
    await open_form(
        interaction, Form(action=Action.GUIDE, subject=subject, title=_("Follow this picture"), fields=tuple(fields))
    )


async def send_guide(interaction: Interaction, subject: str, answers: Answers) -> None:
    prompt = clean_typed_prompt(answers.texts.get(PROMPT))
    if len(subject) != JOB_ID_LENGTH:
        file = await _take(interaction, subject)
        typed = await fill_in(interaction, prompt, {"has_picture": True})
        names, adapter = list_networks(answers.texts, typed.model)
        guides = tuple(Guide(network=name) for name in names)
        await tell_notes(interaction, typed, await submit_guided(interaction, typed, file, guides, adapter=adapter))
        return
    job, catalog = await fetch_job(interaction, subject), interaction.client.services.generation.catalog
    image = _choose_image(job, answers.texts.get(NUMBER, "1"))
    model = catalog.get(image.spec.model)
    names, adapter = list_networks(answers.texts, model)
    controls = [Guide(network=name).build(model, catalog, NO_FILE) for name in names]
    spec = guide_by_image(image, controls, seed=draw_seed())
    request = GenerationRequest(spec=replace_prompt(spec, model, prompt), parent=image.id)
    if adapter is not None:
        request = Reference(picture=Found(job, image), adapter=adapter).add_to(request, model)
    await acknowledge_and_submit(interaction, request.shown_like(job.request))


@app_commands.context_menu(name="Show recipe")
async def recipe_of(interaction: Interaction, message: discord.Message) -> None:
    job = await _find_job(interaction, message)
    if job is not None:
        await show_recipe(interaction, job)
    else:
        await show_file(interaction, _find_picture(message))


@app_commands.context_menu(name="Upscale")
async def enlarge_this(interaction: Interaction, message: discord.Message) -> None:
    job = await _find_job(interaction, message)
    if job is None:
        await submit_upscale(interaction, _find_picture(message))
    elif len(job.images) > 1:
        raise SeveralPicturesError
    else:
        await submit_enlargement(interaction, await fetch_image_to_change(interaction, f"{job.id}:0"))


MENUS = (use_as_start, use_as_guide, recipe_of, enlarge_this)
FORMS = {Action.START: send_start, Action.GUIDE: send_guide}


async def _hold(interaction: Interaction, message: discord.Message) -> str:
    """Keep in mind the picture of a message that is not ours, while its form is open. Return what names it."""
    await require_may_request(interaction)
    held, now_s = interaction.client.services.pending_uploads, interaction.created_at.timestamp()
    return await asyncio.to_thread(held.put, _find_picture(message), get_owner(interaction), now_s=now_s)


async def _take(interaction: Interaction, subject: str) -> Attached:
    held, now_s = interaction.client.services.pending_uploads, interaction.created_at.timestamp()
    return await asyncio.to_thread(held.get, subject, get_owner(interaction), now_s=now_s)


async def _find_job(interaction: Interaction, message: discord.Message) -> Job | None:
    """Return the job a message of ours shows; None for other messages. Raise `UnknownJobError`."""
    if message.author.id != interaction.application_id:
        return None
    job_id = find_job_id(list_custom_ids(message))
    return None if job_id is None else await fetch_job(interaction, job_id)


def _find_picture(message: discord.Message) -> Attached:
    picture = next(find_pictures(message), None)
    if picture is None:
        raise NoPictureInMessageError
    return picture


def _choose_image(job: Job, text: str) -> Image:
    if not text.strip().isdecimal() or not 1 <= int(text) <= len(job.images):
        raise PictureNumberError(most=len(job.images))
    return job.images[int(text) - 1]
