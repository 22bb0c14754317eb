"""/me: a member's own model, shape, sampler and words, who sees answers, the language, and when to be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from discord import app_commands
from discord.app_commands import Choice, Transform
from discord.ext import commands

from cogs.common import transformers
from cogs.common.errors import NoPreferencesError
from cogs.common.member_language import get_locale
from cogs.common.model_option import ModelName
from cogs.common.policy_checks import fetch_policy, require_words_allowed
from cogs.common.responses import send_reply
from cogs.common.sampler_option import SamplerOption
from cogs.context import Interaction
from cogs.i18n.gettext import _, get_language_name, list_languages, set_language
from cogs.me import _messages
from generation.policy.guild_preferences import AUTO
from generation.policy.member_preferences import NO_PREFERENCES, MemberPreferences, NotifyBy
from generation.requests.defaults import DefaultOverrides
from generation.safety.minor_safety import protection

EVERYONE, ONLY_ME = "everyone", "only me"
_ANSWERS = [Choice(name=name, value=name) for name in (EVERYONE, ONLY_ME)]
_LANGUAGES = [
    Choice(name="The language of my Discord", value=AUTO),
    *(Choice(name=get_language_name(each), value=each) for each in list_languages()),
]
_BY = [
    Choice(name="By a mention", value=NotifyBy.MENTION.value),
    Choice(name="By a direct message", value=NotifyBy.MESSAGE.value),
]
ON_REQUEST = "never"
_WHEN = [
    Choice(name="Only when I press the button", value=ON_REQUEST),
    Choice(name="Always", value="0"),
    Choice(name="When the wait is over 1 minute", value="60"),
    Choice(name="When the wait is over 5 minutes", value="300"),
    Choice(name="When the wait is over 15 minutes", value="900"),
    Choice(name="When the wait is over 60 minutes", value="3600"),
]
_PARTS = {
    "all of it": [each.name for each in fields(MemberPreferences)],
    "model": ["model"],
    "shape": ["shape"],
    "sampler": ["sampler"],
    "what to avoid": ["negative"],
    "who sees the answers": ["is_private"],
    "language": ["language"],
    "when to be told": ["notify_by", "notify_over_s"],
}
_RESETS = [Choice(name=name, value=name) for name in _PARTS]


class Me(
    commands.GroupCog,
    group_name="me",
    group_description="Your own defaults, in every server: what is painted where you leave it open.",
):
    """One's own only: there is no way to name another person."""

    @app_commands.command(description="Show your own defaults.")
    async def show(self, interaction: Interaction) -> None:
        await _show(interaction, interaction.client.services.preferences.get(interaction.user.id))

    @app_commands.command(description="Set your own defaults. What you leave out stays.")
    @app_commands.describe(
        model="The model that paints your pictures.",
        aspect="The shape of your pictures.",
        sampler="How noise becomes the picture (A1111 names).",
        negative="What to avoid where you do not say it.",
        answers="Who sees your pictures, where the server leaves that to you.",
        language="The language in which the bot answers you.",
        notify="How you are told that your pictures are ready.",
        notify_when="For which pictures you are told without pressing the button.",
    )
    @app_commands.choices(
        aspect=transformers.ASPECTS,
        answers=_ANSWERS,
        language=_LANGUAGES,
        notify=_BY,
        notify_when=_WHEN,
    )
    async def set(
        self,
        interaction: Interaction,
        model: Transform[str, ModelName] | None = None,
        aspect: Choice[str] | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        negative: transformers.Prompt | None = None,
        answers: Choice[str] | None = None,
        language: Choice[str] | None = None,
        notify: Choice[str] | None = None,
        notify_when: Choice[str] | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "model": interaction.client.services.generation.catalog.get(model).name if model is not None else None,
            "shape": aspect.value if aspect else None,
            "sampler": sampler,
            "negative": await _read_negative(interaction, negative) if negative else None,
            "is_private": answers.value == ONLY_ME if answers else None,
            "language": language.value if language else None,
            "notify_by": NotifyBy(notify.value) if notify else None,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if notify_when is not None:
            given["notify_over_s"] = None if notify_when.value == ON_REQUEST else int(notify_when.value)
        DefaultOverrides(sampler=sampler)  # raises for a name that is none
        if not given:
            raise NoPreferencesError
        await _change(interaction, lambda old: replace(old, **given))

    @app_commands.command(description="Forget one of your own defaults, or all of them.")
    @app_commands.describe(what="Which of them.")
    @app_commands.choices(what=_RESETS)
    async def reset(self, interaction: Interaction, what: Choice[str]) -> None:
        kept = {name: getattr(NO_PREFERENCES, name) for name in _PARTS[what.value]}
        await _change(interaction, lambda old: replace(old, **kept))


async def _read_negative(interaction: Interaction, typed: str) -> str | None:
    """Return the words if they may be asked for here. Raise `RefusedError`."""
    negative = transformers.clean_typed_prompt(typed)
    DefaultOverrides(negative=negative)  # raises for what no default may hold
    protection().require_harmless(("", negative))
    await require_words_allowed(interaction, (negative,))
    return negative or None


async def _change(interaction: Interaction, change: Callable[[MemberPreferences], MemberPreferences]) -> None:
    own = await interaction.client.services.preferences.change(interaction.user.id, change)
    set_language(get_locale(interaction))  # it may be another language from now on
    await _show(interaction, own, done=_(_messages.CHANGED))


async def _show(interaction: Interaction, own: MemberPreferences, *, done: str | None = None) -> None:
    choices = (await fetch_policy(interaction)).choices
    models = [model.name for model in interaction.client.services.generation.catalog.models]
    await send_reply(interaction, _messages.build_preferences(own, choices, models, done=done))
