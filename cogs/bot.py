"""The bot as Discord knows it: intents, extensions, buttons and forms. It imports no feature.

A bot lives from one login to its close; when it cannot go on, a new one is built (see `cogs.connection`). All
that must outlive it is in `Services`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import Any

import aiohttp
import discord
from discord import app_commands

from cogs import acknowledgement, gateway
from cogs.command_sync import HEAD_START_S, register_commands
from cogs.common.components import PersistentButton, PersistentMenu, list_custom_ids
from cogs.common.custom_ids import CustomId
from cogs.common.discord_errors import LONGEST_LIMIT_S
from cogs.common.errors import NotANumberError
from cogs.common.forms import Answers
from cogs.common.member_language import get_locale
from cogs.common.messages import Action
from cogs.common.modals import read_form
from cogs.common.posting_turns import build_trace_config
from cogs.common.responses import show_page
from cogs.context import BaseBot, Interaction
from cogs.error_handler import STRAY_BUTTON, answer, tell_privately
from cogs.i18n.gettext import _, set_language
from cogs.i18n.translator import Translator
from cogs.pacing import Pacing, SessionLimits
from cogs.roster import note_ready
from cogs.services import Services
from generation.errors import UnknownJobError
from generation.requests.ranges import MAX_SHOWN_CHARS
from generation.translatable import Phrase

log = logging.getLogger(__name__)
EXTENSIONS: tuple[str, ...] = (
    "cogs.delivery",
    "cogs.imagine",
    "cogs.compare",
    "cogs.me",
    "cogs.results",
    "cogs.queue",
    "cogs.history",
    "cogs.recipe",
    "cogs.usage",
    "cogs.quota",
    "cogs.rules",
    "cogs.settings",
    "cogs.word_lists",
    "cogs.moderation",
    "cogs.privacy",
    "cogs.token",
    "cogs.operator",
    "cogs.onboarding",
    "cogs.models",
    "cogs.share",
    "cogs.help",
    "cogs.presence",
)
"""The features, each a package with discord.py's `async def setup(bot)`. See docs/decisions/0036."""


SERVERS = app_commands.AppInstallationType(guild=True, user=False)
"""Where commands that manage a server come from: who manages one has added the bot to it."""


async def load_extensions(bot: BaseBot) -> None:
    """Set up every feature.

    Not with `load_extension`: discord.py executes a package again and removes it from `sys.modules` at `close`, so the
    next bot in this process would get second copies of all its classes.
    """
    for name in EXTENSIONS:
        await importlib.import_module(name).setup(bot)


class AtelierBot(BaseBot):
    """See the module's text. Build it with `build_bot`, inside the running event loop."""

    def __init__(
        self, services: Services, *, pacing: Pacing, connector: aiohttp.BaseConnector | None, **options: Any
    ) -> None:
        super().__init__(
            tree_cls=Tree,
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=services.allows_user_installs or None
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=services.allows_user_installs or None),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            connector=connector,
            http_trace=build_trace_config(),
            max_ratelimit_timeout=LONGEST_LIMIT_S,
            **options,
        )
        self.services = services
        services.member_roles.use(self)
        self.pacing = pacing
        self.connector = connector
        self._registering: asyncio.Task[None] | None = None
        parsers = self._connection.parsers
        parsers["INTERACTION_CREATE"] = acknowledgement.deduplicate(parsers["INTERACTION_CREATE"])
        parsers["READY"] = note_ready(parsers["READY"], self.roster)

    async def setup_hook(self) -> None:
        """Load the features and register the commands: logged in, not yet connected."""
        acknowledgement.install(self)
        await self.services.preferences.load()
        self.add_dynamic_items(PersistentButton, PersistentMenu)
        self.add_button_handlers({Action.PAGE: self._turn_page})
        await load_extensions(self)
        for command in self.tree.get_commands():
            if command.guild_only:
                command.allowed_installs = SERVERS
        await self.tree.set_translator(Translator())
        self._registering = asyncio.create_task(self._register(), name="registration")
        await asyncio.wait((self._registering,), timeout=HEAD_START_S)

    async def launch_shard(self, gateway: Any, shard_id: int, *, initial: bool = False) -> None:
        """Wait for a session of the day's first: discord.py gives up a connection that waits long."""
        await self._learn_limits()
        await self.pacing.wait_until_free(shard_id)
        await super().launch_shard(gateway, shard_id, initial=initial)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait for the turn of the shard's bucket. discord.py itself waits 5 s before each shard but the first."""
        await self._learn_limits()
        await self.pacing.wait_to_identify(shard_id or 0)

    async def _learn_limits(self) -> None:
        if not self.pacing.needs_limits:
            return
        try:
            said = await self.fetch_session_start_limits()
            limits = SessionLimits(said.total, said.remaining, said.reset_after / 1000, max(1, said.max_concurrency))
        except Exception as error:  # `Pacing` assumes the smallest limits
            log.warning("action=session-limits-unknown error=%s", type(error).__name__)
        else:
            self.pacing.set_limits(limits)

    async def _register(self) -> None:
        self.command_ids = await register_commands(self.tree, self.http, self.services.problems)

    async def close(self) -> None:
        if self._registering is not None:
            self._registering.cancel()
            await asyncio.wait((self._registering,))
        await super().close()
        self._stop_waiting_for_servers()

    def _stop_waiting_for_servers(self) -> None:
        """End what discord.py leaves: for 2 s after a new session it would still wait for servers, then say it is
        ready."""
        for task in (self._connection._ready_task, *self._connection._ready_tasks.values()):
            if task is not None:
                task.cancel()

    async def handle_button(self, interaction: Interaction, action: str, subject: str) -> None:
        """Run the handler of a pressed button or a chosen menu entry."""
        if action not in self.button_handlers:
            await tell_privately(interaction, _(STRAY_BUTTON))
            return
        await self.button_handlers[Action(action)](interaction, subject)
        await self.tracker.tell_kept(interaction)

    async def _turn_page(self, interaction: Interaction, subject: str) -> None:
        await show_page(interaction, subject, self.lists)

    async def _handle_form(self, interaction: Interaction, action: str, subject: str, answers: Answers) -> None:
        """Run the handler of a form that was sent."""
        try:
            if action not in self.form_handlers:
                raise UnknownJobError
            await self.form_handlers[Action(action)](interaction, subject, answers)
        except Exception as error:
            await answer(interaction, error)
            return
        await self.tracker.tell_kept(interaction)

    async def on_interaction(self, interaction: Interaction) -> None:
        """Forms; and buttons that no one else hears of: forged ones, and those of a message that does not hold them."""
        set_language(get_locale(interaction))
        if (form := read_form(interaction)) is not None:
            await self._handle_form(interaction, *form)
            return
        if interaction.type is not discord.InteractionType.component or interaction.data is None:
            return
        custom_id = str(interaction.data.get("custom_id", ""))
        shown = list_custom_ids(interaction.message) if interaction.message is not None else set()
        if CustomId.parse(custom_id) is None or custom_id not in shown:
            try:
                await tell_privately(interaction, _(STRAY_BUTTON))
            except Exception as error:
                await answer(interaction, error)

    def dispatch(self, event: str, /, *args: Any, **options: Any) -> None:
        """Begin no task for an event of a command that nothing would be done about."""
        if event == "interaction" and args[0].type is discord.InteractionType.application_command:
            return
        if event == "app_command_completion" and not self.tracker.has_kept(args[0].user.id):
            return
        super().dispatch(event, *args, **options)

    async def on_app_command_completion(self, interaction: Interaction, command: object) -> None:
        await self.tracker.tell_kept(interaction)


class Tree(app_commands.CommandTree[BaseBot]):
    """The slash commands, in the language of the person who types. Errors go through `cogs.error_handler`."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        set_language(get_locale(interaction))
        if (wrong := _find_bad_number(interaction.data)) is not None:
            # discord.py raises on it before our code sees the command, and the person would get no answer.
            await answer(interaction, wrong)
            return False
        return True

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        await answer(interaction, error)


def _find_bad_number(data: Any) -> NotANumberError | None:
    """Return what is wrong with an option, at whatever depth, that should hold a number. Only a forged client sends
    that."""
    for option in (data or {}).get("options") or ():
        if option["type"] != discord.AppCommandOptionType.number.value:
            if option.get("options") and (found := _find_bad_number(option)) is not None:
                return found
        # What is half typed, for a list of choices, may be anything.
        elif not option.get("focused") and not isinstance(option.get("value"), int | float):
            name = Phrase(str(option["name"]).capitalize())
            return NotANumberError(name=name, text=str(option.get("value"))[:MAX_SHOWN_CHARS])
    return None


def build_bot(
    services: Services,
    *,
    pacing: Pacing | None = None,
    connector: aiohttp.BaseConnector | None = None,
    guild_ready_timeout_s: float = 2.0,
) -> AtelierBot:
    """Return a client ready to `start(token)`. `pacing` outlives it; `connector` replaces the usual one."""
    gateway.install()
    return AtelierBot(
        services, pacing=pacing or Pacing(), connector=connector, guild_ready_timeout=guild_ready_timeout_s
    )
