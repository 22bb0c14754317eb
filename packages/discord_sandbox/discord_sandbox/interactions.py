"""One interaction: what a user did, and how the bot has answered so far."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from discord_sandbox.guilds import Channel, Guild, InteractionMetadata, Member, Message
from discord_sandbox.json_types import Json

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5

RESPOND, DEFER, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9

TOKEN_LIFETIME_S = 15 * 60.0


@dataclass(frozen=True)
class Acknowledgement:
    """The bot's first answer: Discord's callback type, and how long it took in milliseconds."""

    type: int
    ack_ms: float


@dataclass(eq=False, repr=False, kw_only=True)
class Interaction(InteractionMetadata):
    """An action of a user and the bot's answers to it. It changes as the answers come in.

    `failed` means what the user sees as "The application did not respond": 3 s without an acknowledgement.
    `is_excused` says that an injected fault stood between: a late or repeated answer is no violation then.
    """

    token: str
    channel: Channel
    created_s: float
    member: Member | None = None
    locale: str = "en-US"
    acknowledged: Acknowledgement | None = None
    response_message: Message | None = None
    followups: list[Message] = field(default_factory=list)
    modal: Json | None = None
    choices: list[Json] | None = None
    failed: bool = False
    is_excused: bool = False
    sent_at_s: float = 0.0
    _first_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __repr__(self) -> str:
        """Leave out the token: it is a secret, and long."""
        what = f"/{self.command_name}" if self.command_name else self.data.get("custom_id", f"type {self.type}")
        outcome = "failed" if self.failed else f"answered with {self.response_type}"
        return f"<Interaction {what} by {self.user.username}, {outcome}>"

    @property
    def guild(self) -> Guild | None:
        return self.channel.guild

    @property
    def response_type(self) -> int | None:
        """Discord's callback type of the first answer; None before it."""
        return self.acknowledged.type if self.acknowledged else None

    @property
    def ack_ms(self) -> float | None:
        """Milliseconds from the event to the first answer; None before it."""
        return self.acknowledged.ack_ms if self.acknowledged else None

    @property
    def original_message(self) -> Message | None:
        """What `@original` means: the response, or the component's message when that is updated; None if deleted."""
        message = self.response_message
        return None if message is None or message.is_deleted else message

    @property
    def ephemeral(self) -> bool:
        """Whether the first answer is a message for the invoking person only."""
        return self.response_message is not None and self.response_message.is_ephemeral

    @property
    def messages(self) -> list[Message]:
        """The original response and the follow-ups that stand, oldest first."""
        original = [self.original_message] if self.original_message else []
        return original + [message for message in self.followups if not message.is_deleted]

    @property
    def is_only_user_installed(self) -> bool:
        return "0" not in self.integration_owners

    def settle(self, acknowledgement: Acknowledgement | None) -> None:
        """Record the first answer, or that none came in time."""
        self.acknowledged = acknowledgement
        self.failed = acknowledgement is None
        self._first_answer.set()

    async def wait_until_answered(self) -> None:
        """Wait until the bot has answered or the 3 s are over."""
        await self._first_answer.wait()

    async def wait_until_settled(self, *, timeout_s: float = 30.0) -> Message:
        """Return the response once it no longer says "thinking".

        Raise TimeoutError after `timeout_s` seconds.
        """
        world = self.channel.world

        def ready() -> Message | None:
            message = self.original_message
            return message if message is not None and not message.is_loading else None

        found = await world.wait_for(ready, timeout_s=timeout_s)
        assert found is not None
        return found
