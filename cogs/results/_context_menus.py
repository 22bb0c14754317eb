"""The commands in the menu of a message (“Apps”): start from its picture, show its recipe, enlarge it."""

from __future__ import annotations

import asyncio

import discord
from discord import app_commands

from cogs.common.components import custom_ids
from cogs.common.custom_ids import job_id_of
from cogs.common.forms import Answers, Attached, Form, Text
from cogs.common.lookups import image_to_change, job_named
from cogs.common.message_images import pictures_in
from cogs.common.messages import Action
from cogs.common.modals import open_form
from cogs.common.policy_checks import default_model, require_may_ask
from cogs.common.seeds import draw_seed
from cogs.common.submission import ask
from cogs.common.transformers import prompt_of
from cogs.context import Interaction, owner_of
from cogs.i18n.gettext import N_, _
from cogs.imagine import DEFAULT_STRENGTH, Typed, enlarge_attached, paint_from
from cogs.recipe import show_file, show_recipe
from cogs.results._remix import HOW_MUCH, PROMPT, STRENGTH, number, prompt_field
from generation.errors import InvalidRequest
from generation.jobs.derive import enlarge
from generation.jobs.derive_edits import begin_from, reworded
from generation.jobs.job import JOB_ID_LENGTH, Image, Job
from generation.requests.spec import GenerationRequest
from generation.translatable import Phrase

NUMBER = "number"
_NO_PICTURE = N_("holds no picture that I can use.")


@app_commands.context_menu(name="Use as start image")
async def use_as_start(interaction: Interaction, message: discord.Message) -> None:
    job = await _job_of(interaction, message)
    fields = [
        prompt_field(job.request.spec.written if job is not None else ""),
        Text(
            key=STRENGTH,
            label=_("Strength"),
            value=f"{DEFAULT_STRENGTH:g}",
            hint=_(HOW_MUCH),
            is_required=True,
            max_chars=6,
        ),
    ]
    if job is None:
        await require_may_ask(interaction)
        held = interaction.client.services.held
        subject = await asyncio.to_thread(
            held.put, _picture_of(message), owner_of(interaction), now_s=interaction.created_at.timestamp()
        )
    else:
        subject = job.id
        if len(job.images) > 1:
            hint = _("1 to {most}", most=len(job.images))
            fields.append(
                Text(key=NUMBER, label=_("Which picture"), value="1", hint=hint, is_required=True, max_chars=1)
            )
    form = Form(action=Action.START, subject=subject, title=_("Start from this picture"), fields=tuple(fields))
    await open_form(interaction, form)


async def send_start(interaction: Interaction, subject: str, answers: Answers) -> None:
    strength = number(answers.texts.get(STRENGTH, ""), what=Phrase("Strength"))
    prompt = prompt_of(answers.texts.get(PROMPT))
    if len(subject) != JOB_ID_LENGTH:
        held, now_s = interaction.client.services.held, interaction.created_at.timestamp()
        file = await asyncio.to_thread(held.get, subject, owner_of(interaction), now_s=now_s)
        typed = Typed(prompt=prompt, model=await default_model(interaction))
        await paint_from(interaction, typed, file, strength=strength)
        return
    job = await job_named(interaction, subject)
    image = _numbered(job, answers.texts.get(NUMBER, "1"))
    spec = begin_from(image, strength=strength, seed=draw_seed())
    model = interaction.client.services.studio.catalog.get(spec.model)
    await ask(interaction, GenerationRequest(spec=reworded(spec, model, prompt), parent=image.id))


@app_commands.context_menu(name="Show recipe")
async def recipe_of(interaction: Interaction, message: discord.Message) -> None:
    job = await _job_of(interaction, message)
    if job is not None:
        await show_recipe(interaction, job)
    else:
        await show_file(interaction, _picture_of(message))


@app_commands.context_menu(name="Upscale")
async def enlarge_this(interaction: Interaction, message: discord.Message) -> None:
    job = await _job_of(interaction, message)
    if job is None:
        await enlarge_attached(interaction, _picture_of(message))
    elif len(job.images) > 1:
        raise InvalidRequest(
            what=Phrase("That message"), problem=Phrase("holds several pictures: press U1 to U4 under it.")
        )
    else:
        await ask(interaction, enlarge(await image_to_change(interaction, f"{job.id}:0")))


MENUS = (use_as_start, recipe_of, enlarge_this)
FORMS = {Action.START: send_start}


async def _job_of(interaction: Interaction, message: discord.Message) -> Job | None:
    """The job a message of ours shows; None for other messages. Raises `UnknownJob`."""
    if message.author.id != interaction.application_id:
        return None
    job_id = job_id_of(custom_ids(message))
    return None if job_id is None else await job_named(interaction, job_id)


def _picture_of(message: discord.Message) -> Attached:
    picture = next(pictures_in(message), None)
    if picture is None:
        raise InvalidRequest(what=Phrase("That message"), problem=Phrase(_NO_PICTURE))
    return picture


def _numbered(job: Job, text: str) -> Image:
    if not text.strip().isdecimal() or not 1 <= int(text) <= len(job.images):
        problem = Phrase("is a number from 1 to {most}.", most=len(job.images))
        raise InvalidRequest(what=Phrase("The picture"), problem=problem)
    return job.images[int(text) - 1]
