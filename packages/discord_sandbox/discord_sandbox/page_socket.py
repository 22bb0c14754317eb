"""One browser tab: the live view of a user, and the actions they take in it.

The tab sends `{"n": number, "do": name, ...}` and gets `{"re": number, ...}` back; whatever changes in
between is pushed. Actions go through the same `ScriptedUser` that the tests use.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

from discord_sandbox.command_options import ActionRefusedError
from discord_sandbox.errors import DiscordError
from discord_sandbox.guilds import Channel, Message
from discord_sandbox.interactions import Interaction
from discord_sandbox.journal import GatewayEvent, RestCall
from discord_sandbox.json_types import Json
from discord_sandbox.load_generator import LoadPlan
from discord_sandbox.localization import list_shown_commands
from discord_sandbox.message_content import Upload
from discord_sandbox.page_view import build_entry_view, build_message_view, build_outcome_view, build_world_view
from discord_sandbox.permissions import Permission
from discord_sandbox.scripted_user import ScriptedUser
from discord_sandbox.tab_context import TabContext
from discord_sandbox.users import User
from discord_sandbox.world import Change

MAX_SHOWN = 100
Act = Callable[[Json], Awaitable[Json]]


class Tab:
    """A person at a browser tab. `context` gives what all tabs share."""

    def __init__(self, context: TabContext, socket: web.WebSocketResponse, user: User) -> None:
        self._context = context
        self._world = context.world
        self._socket = socket
        self._user = user
        self._channel: Channel | None = None
        self._outbox: asyncio.Queue[Json | None] = asyncio.Queue()
        self._modals: dict[str, Interaction] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._is_world_due = False
        self._stop_inspecting: Callable[[], None] | None = None
        self._stop_watching: Callable[[], None] | None = None

    async def run(self) -> None:
        """Serve the tab until it is closed."""
        unsubscribe = self._world.subscribe(self._on_change)
        writer = asyncio.create_task(self._write())
        self._push_world()
        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.TEXT:
                    task = asyncio.create_task(self._serve(json.loads(frame.data)))
                    self._busy.add(task)
                    task.add_done_callback(self._busy.discard)
        finally:
            unsubscribe()
            for stop in (self._stop_inspecting, self._stop_watching):
                if stop is not None:
                    stop()
            for task in self._busy:
                task.cancel()
            self._outbox.put_nowait(None)
            await writer

    async def _write(self) -> None:
        while (payload := await self._outbox.get()) is not None:
            try:
                await self._socket.send_str(json.dumps(payload))
            except ConnectionError:
                return

    def _push(self, kind: str, **more: Any) -> None:
        self._outbox.put_nowait({"push": kind, **more})

    # -- what changes --------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        topic = change.kind.partition("_")[0]
        if topic in ("message", "reaction") and change.message is not None:
            self._on_message_change(change, change.message)
        elif change.kind == "typing" and change.channel is not None and change.user is not None:
            if change.channel is self._channel and change.user is not self._user:
                self._push("typing", channel=str(change.channel.id), user=str(change.user.id))
        elif change.kind == "files_gone":
            self._push_files()
        elif topic in ("channel", "role", "member", "guild", "user", "bot", "dm", "group", "commands"):
            self._schedule_world_push()

    def _on_message_change(self, change: Change, message: Message) -> None:
        if message.visible_to not in (None, self._user.id):
            if change.kind == "message_dismiss" and change.user is self._user:
                self._push("gone", channel=str(message.channel.id), id=str(message.id))
            return
        actor = self._act_in(message.channel)
        if actor is None or not actor.can_see():
            return
        if message.is_deleted:
            self._push("gone", channel=str(message.channel.id), id=str(message.id))
        elif message.channel is self._channel:
            self._push("message", channel=str(message.channel.id), message=self._view(message))
        elif change.kind == "message_create" and message.author is not self._user:
            self._push("unread", channel=str(message.channel.id))

    def _push_files(self) -> None:
        """Show the messages with files again."""
        actor = self._act_in(self._channel) if self._channel else None
        for message in actor.list_visible_messages()[-MAX_SHOWN:] if actor else []:
            if message.attachments:
                self._push("message", channel=str(message.channel.id), message=self._view(message))

    def _schedule_world_push(self) -> None:
        """Push the world soon: many changes in one go are one new view."""
        if not self._is_world_due:
            self._is_world_due = True
            asyncio.get_running_loop().call_soon(self._push_world)

    def _push_world(self) -> None:
        self._is_world_due = False
        gone = self._channel is not None and self._channel.is_deleted
        self._push("world", world=build_world_view(self._world, self._user, is_connected=self._context.is_connected()))
        if gone:
            self._channel = None
        actor = self._act_in(self._channel) if self._channel else None
        if actor is not None and actor.can_see():
            self._push("commands", channel=str(actor.channel.id), commands=list_shown_commands(actor))

    def _view(self, message: Message) -> Json:
        return build_message_view(message, self._context.files)

    # -- what the person does ------------------------------------------------------------------------

    async def _serve(self, request: Json) -> None:
        acts: dict[str, Act] = {
            "open": self._open,
            "say": self._say,
            "slash": self._slash,
            "autocomplete": self._autocomplete,
            "click": self._click,
            "select": self._select,
            "modal": self._submit,
            "menu": self._use_context_menu,
            "dismiss": self._dismiss,
            "delete": self._delete,
            "inspect": self._inspect,
            "install": self._install,
            "fault": self._make_fault,
            "load": self._control_load,
        }
        try:
            answer = await acts[request["do"]](request)
        except (ActionRefusedError, LookupError, DiscordError) as error:
            answer = {"error": str(error)}
        self._outbox.put_nowait({"re": request["n"]} | answer)

    async def _open(self, request: Json) -> Json:
        channel = self._world.channels[int(request["channel"])]
        actor = self._act_in(channel)
        if actor is None or not actor.can_see():
            raise ActionRefusedError("You cannot see that channel.")
        self._channel = channel
        shown = actor.list_visible_messages()[-MAX_SHOWN:]
        return {"messages": [self._view(m) for m in shown], "commands": list_shown_commands(actor)}

    async def _say(self, request: Json) -> Json:
        reply_to = self._find_message(request["reply"]) if request.get("reply") else None
        self._act_here().say(request["content"], files=self._take_uploads(request), reply_to=reply_to)
        return {}

    async def _slash(self, request: Json) -> Json:
        options = self._parse_options(request)
        interaction = await self._act_here().slash(request["command"], **options)
        return self._keep_outcome(interaction)

    async def _autocomplete(self, request: Json) -> Json:
        options = self._parse_options(request)
        choices = await self._act_here().autocomplete(
            request["command"], focused=request["focused"], value=request["value"], **options
        )
        return {"choices": choices}

    async def _click(self, request: Json) -> Json:
        interaction = await self._act_here().click(self._find_message(request["message"]), request["custom_id"])
        return self._keep_outcome(interaction)

    async def _select(self, request: Json) -> Json:
        values = [self._parse_value(value) for value in request["values"]]
        message = self._find_message(request["message"])
        return self._keep_outcome(await self._act_here().select(message, request["custom_id"], values))

    async def _submit(self, request: Json) -> Json:
        opened_by = self._modals[request["interaction"]]
        values = {key: self._parse_field(value) for key, value in request["values"].items()}
        interaction = await self._act_here().submit_modal(opened_by, values)
        del self._modals[request["interaction"]]
        return self._keep_outcome(interaction)

    async def _use_context_menu(self, request: Json) -> Json:
        if request.get("message"):
            target: Any = self._find_message(request["message"])
        else:
            target = self._world.users[int(request["user"])]
        return self._keep_outcome(await self._act_here().context_menu(request["name"], target))

    async def _dismiss(self, request: Json) -> Json:
        self._act_here().dismiss(self._find_message(request["message"]))
        return {}

    async def _delete(self, request: Json) -> Json:
        actor, message = self._act_here(), self._find_message(request["message"])
        if message.author is not self._user and not actor.permissions & Permission.MANAGE_MESSAGES:
            raise ActionRefusedError("You may not delete that message.")
        actor.client.messages.delete(message)
        return {}

    async def _install(self, request: Json) -> Json:
        self._world.install_for(self._user, is_installed=request["on"])
        return {}

    async def _inspect(self, request: Json) -> Json:
        if self._stop_inspecting is not None:
            self._stop_inspecting()
            self._stop_inspecting = None
        if not request["on"]:
            return {}
        self._stop_inspecting = self._context.journal.on_entry(self._show_entry)
        recent = list(self._context.journal)[-200:]
        return {
            "entries": [build_entry_view(entry) for entry in recent],
            "pending": self._context.fault_switches.count_pending(),
        }

    def _show_entry(self, entry: RestCall | GatewayEvent) -> None:
        self._push("entry", entry=build_entry_view(entry), pending=self._context.fault_switches.count_pending())

    async def _make_fault(self, request: Json) -> Json:
        done = await self._context.fault_switches.press(request["kind"], self._channel)
        return {"done": done, "pending": self._context.fault_switches.count_pending()}

    async def _control_load(self, request: Json) -> Json:
        """Look at the load generator, start it (with a `plan`), or stop it."""
        generator = self._context.load_generator
        if request.get("plan"):
            await generator.start(LoadPlan(**request["plan"]), self._user)
        elif request.get("stop"):
            generator.stop()
        if self._stop_watching is None:
            self._stop_watching = generator.listen(lambda view: self._push("load", view=view))
        return {"view": generator.view()}

    # -- from the tab's words to things ---------------------------------------------------------------

    def _act_in(self, channel: Channel) -> ScriptedUser | None:
        if channel.guild is not None and self._user.id not in channel.guild.members:
            return None
        if channel.guild is None and self._user not in (channel.recipient, *channel.recipients):
            return None
        return self._context.act_as(self._user, channel)

    def _act_here(self) -> ScriptedUser:
        actor = self._act_in(self._channel) if self._channel is not None else None
        if actor is None:
            raise ActionRefusedError("Open a channel first.")
        return actor

    def _find_message(self, message_id: str) -> Message:
        message = self._channel.get_message(int(message_id)) if self._channel else None
        if message is None:
            raise ActionRefusedError("That message no longer exists.")
        return message

    def _keep_outcome(self, interaction: Interaction) -> Json:
        if interaction.modal is not None:
            self._modals[str(interaction.id)] = interaction
        return build_outcome_view(interaction)

    def _take_uploads(self, request: Json) -> list[Upload]:
        return [self._context.take_upload(key) for key in request.get("files", [])]

    def _parse_options(self, request: Json) -> dict[str, Any]:
        return {name: self._parse_value(value) for name, value in request["options"].items()}

    def _parse_field(self, value: Any) -> Any:
        return [self._parse_value(item) for item in value] if isinstance(value, list) else self._parse_value(value)

    def _parse_value(self, value: Any) -> Any:
        return self._context.parse_value(value, self._act_here().channel.guild)
