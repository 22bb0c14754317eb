"""The options of the slash commands as types: Discord checks their form first, the request checks them again."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from cogs.common.formatting import format_pictures
from cogs.common.message_limits import MAX_OPTION, MAX_OPTIONS, cut_text, measure_text
from cogs.context import Interaction, get_owner
from cogs.i18n.gettext import _
from generation.jobs.job import Status
from generation.requests.edits import MAX_FACTOR
from generation.requests.prompt import MAX_ALT_CHARS, MAX_PROMPT_CHARS, clean_prompt
from generation.requests.ranges import MAX_CLIP_SKIP, MAX_COUNT, MAX_GUIDANCE, MAX_SEED, MAX_STEPS
from generation.requests.style import Style
from generation.requests.upscalers import Upscaler, find_upscaler
from generation.scheduling.active_jobs import JobView

Prompt = app_commands.Range[str, 1, MAX_PROMPT_CHARS]
Alt = app_commands.Range[str, 1, MAX_ALT_CHARS]
Steps = app_commands.Range[int, 1, MAX_STEPS]
Guidance = app_commands.Range[float, 0.0, MAX_GUIDANCE]
Seed = app_commands.Range[int, 0, MAX_SEED]
Count = app_commands.Range[int, 1, MAX_COUNT]
ClipSkip = app_commands.Range[int, 1, MAX_CLIP_SKIP]
Strength = app_commands.Range[float, 0.05, 1.0]
Factor = app_commands.Range[int, 1, MAX_FACTOR]

ASPECTS = [
    app_commands.Choice(name="Square (1:1)", value="1:1"),
    app_commands.Choice(name="Landscape (3:2)", value="3:2"),
    app_commands.Choice(name="Portrait (2:3)", value="2:3"),
    app_commands.Choice(name="Wide (16:9)", value="16:9"),
    app_commands.Choice(name="Tall (9:16)", value="9:16"),
]


class UpscalerOption(app_commands.Transformer[Any]):
    """An added upscaler by name, completed while typing. Becomes an `Upscaler`; raises `UnknownUpscalerError`."""

    async def transform(self, interaction: Interaction, value: str, /) -> Upscaler:
        return find_upscaler(interaction.client.services.generation.catalog.default.upscalers, value)

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        upscalers = interaction.client.services.generation.catalog.default.upscalers
        return filter_choices([(f"{each.name} ({each.scale}×)", each.name) for each in upscalers], value)


class LiveJobOption(app_commands.Transformer[Any]):
    """One of the person's own jobs that have not ended. Becomes a job id; whose it is, is checked when used."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        owner = get_owner(interaction)
        views = interaction.client.services.generation.list_guild_jobs(owner.guild_id)
        return filter_choices([(_describe_job(view), view.job.id) for view in views if view.job.owner == owner], value)


class StyleOption(app_commands.Transformer[Any]):
    """A style of this server by name, completed while typing. Becomes a `Style`; raises `InvalidRequestError`."""

    async def transform(self, interaction: Interaction, value: str, /) -> Style:
        return await interaction.client.services.styles.fetch(get_owner(interaction).guild_id, value)

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        styles = await interaction.client.services.styles.fetch_all(get_owner(interaction).guild_id)
        return filter_choices([(f"{style.name} · {style.prompt}", style.name) for style in styles], value)


class StyleName(StyleOption):
    """The same while typing, but looked up only by the command, after it has asked who may. Stays the name."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:  # type: ignore[override]
        return value


def filter_choices(pairs: list[tuple[str, str]], typed: str) -> list[app_commands.Choice[str]]:
    """Those (name, value) that contain what was typed, at most as many and as long as Discord takes."""
    wanted = typed.casefold()
    found = [
        (name, value)
        for name, value in pairs
        if (wanted in name.casefold() or wanted in value.casefold()) and measure_text(value) <= MAX_OPTION
    ]
    return [app_commands.Choice(name=cut_text(name, MAX_OPTION), value=value) for name, value in found[:MAX_OPTIONS]]


def clean_typed_prompt(text: str | None) -> str:
    """Return what a person typed, cleaned."""
    return clean_prompt(text) if text else ""


def _describe_job(view: JobView) -> str:
    state = _("painting") if view.job.status is Status.RUNNING else _("waiting")
    return f"{format_pictures(len(view.job.images))}, {state} · {view.job.request.spec.prompt}"
