"""`Sandbox`: the whole of Discord in one async context manager, on one loopback port."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from aiohttp import web

from discord_sandbox.cdn import Cdn
from discord_sandbox.clock import Clock
from discord_sandbox.command_registry import CommandRegistry
from discord_sandbox.events import EventDispatcher
from discord_sandbox.faults import Faults
from discord_sandbox.file_store import FileStore
from discord_sandbox.gateway import Gateway
from discord_sandbox.guilds import Channel, Guild, Member
from discord_sandbox.interaction_service import InteractionService
from discord_sandbox.journal import Journal, Violation
from discord_sandbox.load_generator import LoadGenerator
from discord_sandbox.loopback_only import refuse_foreign_requests
from discord_sandbox.message_service import MAX_REQUEST, MessageService
from discord_sandbox.oauth2 import OAuth2
from discord_sandbox.openapi_validator import OpenApiValidator
from discord_sandbox.page_server import PageServer
from discord_sandbox.rate_limits import RateLimits
from discord_sandbox.rest.call import Services
from discord_sandbox.rest.server import RestServer
from discord_sandbox.scripted_user import ClientServices, ScriptedUser
from discord_sandbox.seed import seed_world as plant
from discord_sandbox.tab_context import TabContext
from discord_sandbox.tls_names import API, CDN, GATEWAY, NAMES, route_gateway_name
from discord_sandbox.users import User
from discord_sandbox.world import World
from discord_sandbox.world_state import Application

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Sandbox:
    """Discord on 127.0.0.1, for one bot.

    `port` 0 takes any free port. `seed_world` puts users and servers in it. `openapi` is the path of Discord's
    OpenAPI description; None takes the environment's `DISCORD_OPENAPI`. Without that, or with "", nothing is validated,
    which is logged unless it is what "" asked for.
    `bot_name` is the bot's user name, `ack_deadline_s` the time it has for a first answer (Discord's: 3 s).
    With `tls` (a certificate for the names in `route_gateway_name.NAMES`) it answers as discord.com itself.
    `journal_limit` is how many calls and events are remembered.
    """

    ack_deadline_s = 3.0
    patience_s = 30.0
    """How long its waits last where nothing else is asked for. Set both higher where a busy machine runs many tests."""

    def __init__(
        self,
        *,
        port: int = 0,
        seed_world: bool = False,
        openapi: str | Path | None = None,
        bot_name: str = "Bot",
        ack_deadline_s: float | None = None,
        tls: ssl.SSLContext | None = None,
        journal_limit: int = 50_000,
    ) -> None:
        self.clock = Clock()
        self.journal = Journal(limit=journal_limit)
        self.world = World(self.clock, bot_name)
        description = os.environ.get("DISCORD_OPENAPI") if openapi is None else openapi
        self._validator = OpenApiValidator(self.journal, Path(description) if description else None)
        self._must_validate = openapi != ""
        self.files = FileStore(self.clock)
        self._messages = MessageService(self.world, self.files)
        self.gateway = Gateway(self.world, self.journal)
        self._commands = CommandRegistry(self.world)
        ack_deadline_s = self.ack_deadline_s if ack_deadline_s is None else ack_deadline_s
        self._interactions = InteractionService(
            self.world, self._messages, self.files, self.gateway.dispatch, ack_deadline_s=ack_deadline_s
        )
        self.faults = Faults(self.world, self.gateway, self.files)
        self.rate_limits = RateLimits(self.clock)
        self.oauth2 = OAuth2(self.world, self.clock)
        EventDispatcher(self.world, self.gateway, self.files)
        self.clock.on_jump(self.world.wake)
        # A call that was refused changes nothing, but a waiter may wait for it.
        self.journal.on_entry(lambda entry: self.world.wake())
        self._port = self.port = port
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.load_generator = LoadGenerator(self.world, self.act_as)
        self.url = ""
        self._plants = seed_world
        if not seed_world:
            self.world.begin()

    # -- life ----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Sandbox:
        app = self._build_web_app()
        services = Services(self.world, self.files, self._messages, self._commands, self._interactions, self.gateway)
        self.oauth2.add_to(app)  # before the routes that take every other path
        RestServer(services, self.faults, self.rate_limits, self.journal, self._validator).add_to(app)
        # Discord's CDN has a name of its own, so no folder.
        Cdn(self.world, self.files, prefix="" if self._tls else "/cdn").add_to(app)
        PageServer(TabContext(self)).add_to(app)
        app.router.add_get("/gateway", self.gateway.handle)
        app.router.add_get("/gateway/", self.gateway.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._set_address(self._runner.addresses[0][1])
        if self._plants:
            plant(self.world)
            self.world.begin()
        return self

    def _build_web_app(self) -> web.Application:
        layers = [refuse_foreign_requests()]
        if self._tls is not None:
            layers = [refuse_foreign_requests(NAMES), route_gateway_name(self.gateway.handle)]
        return web.Application(middlewares=layers, client_max_size=MAX_REQUEST + (1 << 20))

    def _set_address(self, port: int) -> None:
        self.port = port
        self.url = f"https://{API}" if self._tls else f"http://127.0.0.1:{port}"
        self.files.url = self.cdn_url
        self.gateway.url = self.gateway_url

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.gateway.close_all(1001)
        if self._runner is not None:
            await self._runner.cleanup()
        await self.validate_all()
        if self._must_validate and not self._validator.is_present:
            _log.warning("NOTHING WAS VALIDATED: DISCORD_OPENAPI names no description; only the hand-written rules ran")

    # -- addresses -----------------------------------------------------------------------------------

    @property
    def api_base(self) -> str:
        """What discord.py's `Route.BASE` is pointed at."""
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        """What discord.py's `DEFAULT_GATEWAY` is pointed at."""
        return f"wss://{GATEWAY}" if self._tls else f"{self.url.replace('http', 'ws', 1)}/gateway"

    @property
    def cdn_url(self) -> str:
        """What discord.py's `Asset.BASE` is pointed at."""
        return f"https://{CDN}" if self._tls else f"{self.url}/cdn"

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.application.token

    @property
    def application(self) -> Application:
        """The one application: `id`, `bot`, `name`."""
        return self.world.application

    # -- the world -----------------------------------------------------------------------------------

    def add_guild(self, name: str, *, owner: User | None = None, has_bot: bool = True) -> Guild:
        """Add a guild; the bot joins it unless `has_bot` is false."""
        return self.world.add_guild(name, owner=owner, has_bot=has_bot)

    def add_bot(self, guild: Guild) -> None:
        """Invite the bot to a guild that does not have it."""
        guild.add_bot()

    def add_user(self, name: str) -> User:
        """Add a user in no guild, who may still write to the bot."""
        return self.world.add_user(name)

    def act_as(self, who: Member | User, channel: Channel | None = None, *, locale: str | None = None) -> ScriptedUser:
        """Return a user looking at a channel, by default at their direct messages with the bot, in their language."""
        user = who.user if isinstance(who, Member) else who
        place = channel or self.world.open_direct_channel(user)
        member = None
        if place.guild is not None:
            member = place.guild.members[user.id]
        client = ClientServices(self._commands, self._interactions, self.files, self._messages)
        return ScriptedUser(client, user, place, member, locale or user.locale)

    @property
    def commands(self) -> list[dict[str, object]]:
        """The global commands as registered."""
        return self._commands.list_of_scope(None)

    # -- waiting and judging -------------------------------------------------------------------------

    async def wait_for(self, predicate: Callable[[], T], *, timeout_s: float | None = None) -> T:
        """Return the first true value of `predicate`, asked again after every change and call, and ten times a second.

        Raise TimeoutError, with the last calls in its message, after `timeout_s` seconds (else `patience_s`).
        """
        timeout_s = self.patience_s if timeout_s is None else timeout_s
        try:
            return await self.world.wait_for(predicate, timeout_s=timeout_s)
        except TimeoutError:
            last = [f"{call.where} -> {call.status}" for call in self.journal.calls[-5:]]
            raise TimeoutError(
                f"The condition was not met within {timeout_s} s. The last calls were {last or 'none'}."
            ) from None

    def end_deadlines(self) -> None:
        """End the time for a first answer at once, for every interaction that has none."""
        self._interactions.end_deadlines()

    async def wait_until_ready(self, *, timeout_s: float | None = None) -> None:
        """Wait until a bot is connected and has registered commands."""
        await self.wait_for(lambda: self.gateway.is_connected and self._commands.num_created, timeout_s=timeout_s)

    async def validate_all(self) -> None:
        """Validate every call so far, letting other tasks run in between."""
        await self._validator.validate_all()

    @property
    def num_validated(self) -> int:
        """How many bodies (requests and responses) were validated; 0 without a description."""
        return self._validator.num_validated

    @property
    def violations(self) -> list[Violation]:
        """Every break of Discord's rules so far; validates first what still waits."""
        self._validator.validate_pending()
        return list(self.journal.violations)
