"""The bot as Discord knows it: intents, commands, buttons, and where errors go. Joins the features, and is one client.

A client lives from one login to its close; when it cannot go on, a new one is built (see `cogs.connection`). All
that must outlive it is in `Services`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands

from cogs import acknowledgement, gateway
from cogs.command_sync import HEAD_START_S, register
from cogs.common.discord_errors import LONGEST_LIMIT_S
from cogs.common.messages import Action
from cogs.common.modals import Answers, FormHandler, read_form
from cogs.common.posting_turns import tracing
from cogs.common.rendering import Choose, Press, custom_ids, is_ours
from cogs.common.responses import Lists, turn_page
from cogs.common.submission import tell_besides
from cogs.delivery._tracker import Courier
from cogs.error_handler import STRAY_BUTTON, answer, tell_privately
from cogs.help import _cog as helping
from cogs.help._cog import Helping
from cogs.history import _cog as history
from cogs.history._cog import History
from cogs.i18n.gettext import _, speak
from cogs.i18n.translator import Translator
from cogs.imagine._cog import Imagine
from cogs.imagine._from_image import FromPictures
from cogs.moderation._cog import PRESSES as MODERATION_PRESSES
from cogs.moderation._cog import TEMPLATE as REVIEW
from cogs.moderation._cog import Moderation, ReviewItem, report_picture
from cogs.onboarding._cog import say_hello
from cogs.operator import _cog as operating
from cogs.operator._cog import Operating
from cogs.pacing import Pacing
from cogs.privacy._cog import Privacy
from cogs.queue import _cog as queue
from cogs.queue._cog import Queue
from cogs.quota import _cog as quota
from cogs.quota._cog import QuotaGroup
from cogs.recipe._cog import RecipeOf
from cogs.recipe._reproduce import Reproduce
from cogs.results import _buttons as results
from cogs.results import _context_menus as menus
from cogs.results import _messages as replies
from cogs.results import _more_buttons as more
from cogs.results import _remix as remixing
from cogs.results._buttons import Handler
from cogs.rules import _cog as rules
from cogs.rules._cog import RulesGroup
from cogs.services import Interaction, Services
from cogs.settings import _audit_log as changes
from cogs.settings import _cog as settings_panel
from cogs.settings import _style_cog as styles
from cogs.settings._cog import TEMPLATE, SettingItem, SettingsPanel
from cogs.settings._style_cog import StyleGroup
from cogs.usage._cog import Usage
from generation.durable import durably
from generation.errors import InvalidRequest, UnknownJob
from generation.translatable import Phrase

__all__ = ["AtelierClient", "Services", "build_client"]

log = logging.getLogger(__name__)
COGS: tuple[type[commands.Cog], ...] = (
    Imagine,
    FromPictures,
    Queue,
    History,
    RecipeOf,
    Reproduce,
    StyleGroup,
    Usage,
    QuotaGroup,
    RulesGroup,
    SettingsPanel,
    Moderation,
    Privacy,
    Operating,
    Helping,
)
MENUS: tuple[app_commands.ContextMenu, ...] = (*menus.MENUS, report_picture)
LISTS: dict[str, Lists] = (
    rules.LISTS | quota.LISTS | styles.LISTS | queue.LISTS | helping.LISTS | operating.LISTS | changes.LISTS
)


async def press_page(interaction: Interaction, subject: str) -> None:
    await turn_page(interaction, subject, LISTS)


PRESSES: dict[Action, Handler] = (
    results.PRESSES | more.PRESSES | remixing.PRESSES | history.PRESSES | MODERATION_PRESSES | {Action.PAGE: press_page}
)
FORMS: dict[Action, FormHandler] = remixing.FORMS | menus.FORMS | settings_panel.FORMS


class AtelierClient(commands.AutoShardedBot):
    """See the module's text. Build it with `build_client`, inside the running event loop."""

    tree: Tree

    def __init__(
        self, services: Services, *, pacing: Pacing, connector: aiohttp.BaseConnector | None, **options: Any
    ) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=Tree,
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            connector=connector,
            http_trace=tracing(),
            max_ratelimit_timeout=LONGEST_LIMIT_S,
            **options,
        )
        self.services = services
        self.pacing = pacing
        self.connector = connector
        self.courier = Courier(self, services)
        self.command_ids: dict[str, int] = {}
        self._registering: asyncio.Task[None] | None = None
        parsers = self._connection.parsers
        parsers["INTERACTION_CREATE"] = acknowledgement.once_each(parsers["INTERACTION_CREATE"])

    async def setup_hook(self) -> None:
        """Logged in, not yet connected."""
        acknowledgement.install(self)
        for cog in COGS:
            await self.add_cog(cog())
        for menu in MENUS:
            self.tree.add_command(menu)
        await self.tree.set_translator(Translator())
        self.add_dynamic_items(Press, Choose, SettingItem, ReviewItem)
        await self.courier.start()
        self._registering = asyncio.create_task(self._register(), name="registration")
        await asyncio.wait((self._registering,), timeout=HEAD_START_S)

    async def _register(self) -> None:
        self.command_ids = await register(self.tree, self.http, self.services.problems)

    async def close(self) -> None:
        if self._registering is not None:
            self._registering.cancel()
            await asyncio.wait((self._registering,))
        await self.courier.close()
        await super().close()

    async def pressed(self, interaction: Interaction, action: str, subject: str) -> None:
        """A button of ours was pressed."""
        if action not in PRESSES:
            await tell_privately(interaction, _(STRAY_BUTTON))
            return
        await PRESSES[Action(action)](interaction, subject)
        await self.tell_kept(interaction)

    async def sent(self, interaction: Interaction, action: str, subject: str, answers: Answers) -> None:
        """A form of ours was sent."""
        try:
            if action not in FORMS:
                raise UnknownJob
            await FORMS[Action(action)](interaction, subject, answers)
        except Exception as error:
            await answer(interaction, error)
            return
        await self.tell_kept(interaction)

    async def on_interaction(self, interaction: Interaction) -> None:
        """Forms; and buttons that no one else hears of: forged ones, and those of a message that does not hold them."""
        speak(interaction.locale)
        if (form := read_form(interaction)) is not None:
            await self.sent(interaction, *form)
            return
        if interaction.type is not discord.InteractionType.component or interaction.data is None:
            return
        custom_id = str(interaction.data.get("custom_id", ""))
        shown = custom_ids(interaction.message) if interaction.message is not None else set()
        is_known = is_ours(custom_id) or TEMPLATE.fullmatch(custom_id) or REVIEW.fullmatch(custom_id)
        if not is_known or custom_id not in shown:
            try:
                await tell_privately(interaction, _(STRAY_BUTTON))
            except Exception as error:
                await answer(interaction, error)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Discord says so of new servers only, not of those it names after a connection."""
        await durably(lambda: self._note_membership(guild.id))
        await say_hello(guild, self.services)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Of a server that is down only for a while Discord does not say so."""
        log.info("guild=%s action=removed-from", guild.id)
        await durably(lambda: self._note_membership(guild.id))

    async def _note_membership(self, guild_id: int) -> None:
        """Store whether a server has the bot, as it is when storage can take it: it may have changed meanwhile."""
        if self.is_closed():  # the next client is told which servers there are
            return
        departures = self.services.departures
        await (departures.left(guild_id) if self.get_guild(guild_id) is None else departures.came_back(guild_id))

    async def on_ready(self) -> None:
        """What changed while nobody was connected: every server is named after a new connection, also those down.

        Also called of a client that was closed meanwhile, which may not have heard of every server.
        """

        async def write() -> None:
            if not self.is_closed():
                await self.services.departures.found([guild.id for guild in self.guilds])

        await durably(write)

    async def on_app_command_completion(self, interaction: Interaction, command: object) -> None:
        await self.tell_kept(interaction)

    async def tell_kept(self, interaction: Interaction) -> None:
        """On the next occasion, a person hears of results that could not be posted."""
        reasons = self.courier.take_kept(interaction.user.id)
        if reasons and not await tell_besides(interaction, replies.kept(reasons)):
            self.courier.keep_for_later(interaction.user.id, reasons)


class Tree(app_commands.CommandTree[AtelierClient]):
    """The slash commands, in the language of whoever types; what they raise is told by the one table."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        speak(interaction.locale)
        if (wrong := _no_number(interaction.data)) is not None:
            # discord.py would stumble over it before anything of ours hears of the command, and nobody be answered.
            await answer(interaction, wrong)
            return False
        return True

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        await answer(interaction, error)


def _no_number(data: Any) -> InvalidRequest | None:
    """What is wrong with an option, at whatever depth, that should hold a number. Only a forged client sends that."""
    for option in (data or {}).get("options") or ():
        if option["type"] != discord.AppCommandOptionType.number.value:
            if (found := _no_number(option)) is not None:
                return found
        # What is half typed, for a list of choices, may be anything.
        elif not option.get("focused") and not isinstance(option.get("value"), int | float):
            problem = Phrase("must be a number, not “{text}”.", text=str(option.get("value"))[:20])
            return InvalidRequest(what=Phrase(str(option["name"]).capitalize()), problem=problem)
    return None


def build_client(
    services: Services,
    *,
    pacing: Pacing | None = None,
    connector: aiohttp.BaseConnector | None = None,
    guild_ready_timeout_s: float = 2.0,
) -> AtelierClient:
    """A client ready to `start(token)`. `pacing` outlives it; `connector` replaces the usual one."""
    gateway.install()
    return AtelierClient(
        services, pacing=pacing or Pacing(), connector=connector, guild_ready_timeout=guild_ready_timeout_s
    )
