"""/list: named lists of words. A prompt draws one line of a list by `__name__`, for each picture by its seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from discord import app_commands
from discord.ext import commands

from cogs.common.checks import build_audit_entry, require_manager, tell_log_channel
from cogs.common.errors import ListsInServerError
from cogs.common.forms import Answers
from cogs.common.messages import Action, MessageSpec
from cogs.common.modals import open_form
from cogs.common.policy_checks import fetch_policy, require_lines_allowed
from cogs.common.responses import send_reply
from cogs.common.transformers import filter_choices
from cogs.context import FormHandler, Interaction, ListBuilder, is_in_server
from cogs.i18n.gettext import N_, _
from cogs.word_lists import _messages as pages
from generation.requests.errors import NoWordListsError, UnknownWordListError
from generation.requests.wildcards import Lists
from generation.requests.word_lists import MAX_NAME_CHARS, check_lists, clean_lines, clean_name
from generation.translatable import Phrase

KEPT = N_("saved the list “{name}”")
GONE = N_("removed the list “{name}”")


class ListName(app_commands.Transformer[Any]):
    """The name of a list, completed while typing. Stays what was typed: the command looks it up."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        return filter_choices([(name, name) for name in sorted(await _fetch_lists(interaction))], value)


@app_commands.guild_only()
class ListGroup(
    commands.GroupCog,
    group_name="list",
    group_description="Lists of words: a prompt draws a line of one by __name__.",
):
    """Everyone may look; only those who manage the server may change them."""

    @app_commands.command(description="Show the lists of this server, or the lines of one.")
    @app_commands.describe(name="The list whose lines to show.")
    async def show(self, interaction: Interaction, name: app_commands.Transform[str, ListName] | None = None) -> None:
        lists = await _fetch_lists(interaction)
        if name is None:
            await send_reply(interaction, pages.build_lists(lists))
        else:
            found = _find(lists, name)
            await send_reply(interaction, pages.build_list(found, lists[found]))

    @app_commands.command(description="Add a list, or change the list with the same name, in a form. For managers.")
    @app_commands.describe(name="The name that prompts use, between two underscores on each side.")
    async def add(self, interaction: Interaction, name: app_commands.Range[str, 1, MAX_NAME_CHARS]) -> None:
        require_manager(interaction)
        named = clean_name(name)
        lines = (await _fetch_lists(interaction)).get(named, ())
        await open_form(interaction, pages.build_list_form(named, lines))

    @app_commands.command(description="Remove a list. For managers.")
    @app_commands.describe(name="Its name.")
    async def remove(self, interaction: Interaction, name: app_commands.Transform[str, ListName]) -> None:
        require_manager(interaction)
        found = _find(await _fetch_lists(interaction), name)
        lists = await _change(
            interaction,
            Phrase(GONE, name=found),
            lambda old: {key: lines for key, lines in old.items() if key != _find(old, found)},
        )
        await send_reply(interaction, pages.build_lists(lists, done=_(pages.LIST_GONE, name=found)))


async def keep_typed_list(interaction: Interaction, _subject: str, answers: Answers) -> None:
    """Keep the list of a sent form, and show it."""
    require_manager(interaction)
    name, lines = clean_name(answers.texts.get(pages.NAME, "")), clean_lines(answers.texts.get(pages.LINES, ""))
    check_lists({name: lines})
    await require_lines_allowed(interaction, {name: lines})
    await _change(interaction, Phrase(KEPT, name=name), lambda old: {**old, name: lines})
    await send_reply(interaction, pages.build_list(name, lines, done=_(pages.LIST_KEPT, name=f"__{name}__")))


async def _fetch_lists(interaction: Interaction) -> dict[str, tuple[str, ...]]:
    if not is_in_server(interaction):
        raise ListsInServerError
    return (await fetch_policy(interaction)).choices.word_lists


def _find(lists: Lists, typed: str) -> str:
    """Return the name of a list as it is kept. Raise `InvalidRequestError` if there is none."""
    name = typed.strip("_ ").casefold()
    if name in lists:
        return name
    if not lists:
        raise NoWordListsError(name=typed[:MAX_NAME_CHARS])
    raise UnknownWordListError(name=typed[:MAX_NAME_CHARS], available=", ".join(sorted(lists)))


async def _change(
    interaction: Interaction,
    said: Phrase,
    change: Callable[[dict[str, tuple[str, ...]]], dict[str, tuple[str, ...]]],
) -> dict[str, tuple[str, ...]]:
    """Apply the change, record it, and tell the log channel. Return the lists as they are then."""
    before, after = await interaction.client.services.guild_policy.change_settings(
        require_manager(interaction),
        lambda old: replace(old, choices=replace(old.choices, word_lists=change(old.choices.word_lists))),
        build_audit_entry(interaction, said),
    )
    if after != before:
        await tell_log_channel(interaction, said)
    return after.choices.word_lists


async def _rebuild(interaction: Interaction, _page: str) -> MessageSpec:
    return pages.build_lists(await _fetch_lists(interaction))


FORMS: dict[Action, FormHandler] = {Action.LIST: keep_typed_list}
LISTS: dict[str, ListBuilder] = {pages.KEY: _rebuild}
