"""The first answer to an interaction, whose outcome may stay unknown: carried out, but Discord's reply lost.

Every `defer`, `send_message`, `edit_message` and `send_modal` of discord.py ends in one call of an adapter, and this
is that adapter. It asks again until it is certain. An answer that stands is as good as its reply. If none can come to
stand it raises `NotAcknowledgedError`: the person sees a failure, so nothing is done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import Any, cast

import aiohttp
import discord
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

log = logging.getLogger(__name__)
UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK = 10062, 40060, 10008, 10015
ANSWER_S = 10.0
"""How long one reply is waited for."""
ACKNOWLEDGE_S = 3.0
"""Discord takes no first answer later than that."""
PAUSES_S, LAST_PAUSE_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 10.0
NUM_PAUSES = 90
"""As long as a person may be shown “thinking…”: about a quarter of an hour."""
NUM_BEFORE_LOOKING = 3
_MODAL, _CHOICES = (
    discord.InteractionResponseType.modal.value,
    discord.InteractionResponseType.autocomplete_result.value,
)
_DEFERRED = discord.InteractionResponseType.deferred_channel_message.value
MAX_REMEMBERED = 10_000
Payload = dict[str, Any]


class NotAcknowledgedError(Exception):
    """The interaction has no answer of ours and can get none: the person sees that it failed."""


class _LostError(Exception):
    """The reply was a server error: what was asked for may have been done."""


_UNSURE = (aiohttp.ClientError, OSError, _LostError)


class CallbackAdapter(AsyncWebhookAdapter):
    """discord.py's adapter for webhooks and interactions, certain of its first answers. `install` makes it the one."""

    def __init__(self, client: discord.Client) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._client = client

    async def create_interaction_response(  # type: ignore[override]
        self, interaction_id: int, token: str, *, session: aiohttp.ClientSession, **options: Any
    ) -> Payload:
        call = _Call(interaction_id, token, _get_kind(options["params"]), _Watched(session))
        watched = cast(Any, call.session)
        send = partial(super().create_interaction_response, interaction_id, token, session=watched, **options)
        for number, pause_s in enumerate(_list_pauses(call.kind), start=1):
            reply = await self._send(call, send)
            if reply is None and number >= NUM_BEFORE_LOOKING and call.kind != _MODAL:
                reply = await self._look(call)
            if reply is not None:
                return reply
            await asyncio.sleep(pause_s)
            _rewind_files(options["params"])
        raise NotAcknowledgedError("no-reply")

    async def _send(self, call: _Call, send: Callable[[], Awaitable[Any]]) -> Payload | None:
        """Return the reply of one try, None if its outcome is unknown."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reply = await send()
        except discord.HTTPException as error:
            if error.code == ALREADY_ACKNOWLEDGED and call.session.is_unsure:
                return call.standing(await self._original(call) if call.kind == _DEFERRED else None)
            if error.code in (ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION):
                raise NotAcknowledgedError(f"{error.code}") from None
            if not call.session.is_unsure:
                raise
            return None
        except _UNSURE as error:
            log.info("interaction=%s action=acknowledgement-lost error=%s", call.interaction_id, type(error).__name__)
            return None
        call.session.is_unsure = True  # unless it is a reply: a page of a proxy in between is none
        return _extract_reply(reply)

    async def _look(self, call: _Call) -> Payload | None:
        """Return the reply of an answer that stands, None if none is known to. Raise if none can come to stand."""
        found = await self._original(call)
        if isinstance(found, discord.HTTPException):
            is_late = time.monotonic() > call.began_s + ACKNOWLEDGE_S
            if found.code == UNKNOWN_WEBHOOK and is_late:
                raise NotAcknowledgedError("too-late")
            # An answer whose message was deleted since stands, too.
            return call.standing(None) if found.code == UNKNOWN_MESSAGE else None
        return None if found is None else call.standing(found)

    async def _original(self, call: _Call) -> Payload | discord.HTTPException | None:
        """Fetch the message of the first answer. Return Discord's error if it has none, None if that stays unknown."""
        application_id, watched = self._client.application_id or 0, cast(Any, call.session)
        try:
            async with asyncio.timeout(ANSWER_S):
                found: Any = await self.get_original_interaction_response(application_id, call.token, session=watched)
        except discord.HTTPException as error:
            return error
        except _UNSURE:
            return None
        return found if isinstance(found, dict) and "id" in found else None


@dataclass(frozen=True, slots=True)
class _Call:
    """One first answer, of one kind (a type of Discord's interaction responses)."""

    interaction_id: int
    token: str = field(repr=False)
    kind: int
    session: _Watched
    began_s: float = field(default_factory=time.monotonic)

    def standing(self, message: Any) -> Payload:
        """Return what Discord's reply would have said of the answer. `message`: the one it made, as far as known."""
        log.info("interaction=%s action=acknowledgement-stands", self.interaction_id)
        reply: Payload = {"id": self.interaction_id, "type": self.kind}
        if self.kind == _DEFERRED and isinstance(message, dict):
            reply["response_message_id"] = message["id"]
        return {"interaction": reply}


class _Watched:
    """A session that raises server errors, which discord.py would try again without saying so, and remembers doubt."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.is_unsure = False
        """Whether a request may have been carried out without our hearing of it."""

    @asynccontextmanager
    async def request(self, *args: Any, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        was_unsure, self.is_unsure = self.is_unsure, True
        async with self._session.request(*args, **options) as response:
            if response.status >= 500:
                raise _LostError(response.status)
            self.is_unsure = was_unsure
            yield response


def install(client: discord.Client) -> None:
    """Use the adapter in this task and in the tasks it starts: all that discord.py does for the client."""
    async_context.set(CallbackAdapter(client))


def deduplicate(parse: Callable[[Payload], None]) -> Callable[[Payload], None]:
    """Return a parser of INTERACTION_CREATE that passes over what it has had before: a gateway may deliver twice."""
    seen: dict[int, None] = {}

    def parse_once(data: Payload) -> None:
        interaction_id = int(data["id"])
        if interaction_id in seen:
            log.warning("interaction=%s action=delivered-twice", interaction_id)
            return
        seen[interaction_id] = None
        if len(seen) > MAX_REMEMBERED:
            del seen[next(iter(seen))]
        parse(data)

    return parse_once


def _get_kind(params: Any) -> int:
    """Return the type of the answer; one with files is a message."""
    return int(params.payload["type"]) if params.payload else discord.InteractionResponseType.channel_message.value


def _list_pauses(kind: int) -> Iterator[float]:
    """Seconds to wait after each try. Choices are of no use later, and nothing depends on whether a form was opened."""
    if kind == _CHOICES:
        return iter((0.0,))
    return iter(PAUSES_S[:4]) if kind == _MODAL else chain(PAUSES_S, repeat(LAST_PAUSE_S, NUM_PAUSES))


def _extract_reply(reply: Any) -> Payload | None:
    """Return what is needed of a reply, None if it is none. The message in it is not: discord.py need not parse it."""
    interaction = reply.get("interaction") if isinstance(reply, dict) else None
    return {"interaction": interaction} if isinstance(interaction, dict) and "id" in interaction else None


def _rewind_files(params: Any) -> None:
    for file in params.files or ():
        file.reset()
