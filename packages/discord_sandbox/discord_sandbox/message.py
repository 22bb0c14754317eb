"""Messages and their files, with the questions a test or a person asks of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from discord_sandbox.people import User
from discord_sandbox.wire import Json

if TYPE_CHECKING:
    from discord_sandbox.interactions import Interaction
    from discord_sandbox.places import Channel

# https://discord.com/developers/docs/resources/message#message-object-message-flags
SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_NOTIFICATIONS = 1 << 12
HAS_SNAPSHOT = 1 << 14
IS_COMPONENTS_V2 = 1 << 15

TYPE_DEFAULT = 0
TYPE_REPLY = 19
TYPE_CHAT_INPUT_COMMAND = 20
TYPE_CONTEXT_MENU_COMMAND = 23


@dataclass(frozen=True, eq=False)
class Upload:
    """A file that somebody sends: `data` are its bytes."""

    filename: str
    data: bytes
    content_type: str | None = None
    description: str | None = None


@dataclass(frozen=True, eq=False)
class Attachment:
    """A file that Discord keeps, of a message or of a command's option. `url` is not signed yet."""

    id: int
    filename: str
    data: bytes
    content_type: str
    url: str
    width: int | None = None
    height: int | None = None
    description: str | None = None
    is_ephemeral: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


@dataclass(eq=False, repr=False)
class Message:
    """A message as it stands now: edits change it in place and `revisions` counts them."""

    id: int
    channel: Channel
    author: User
    type: int
    timestamp: str
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    allowed_mentions: Json | None = None
    flags: int = 0
    edited_timestamp: str | None = None
    nonce: str | int | None = None
    tts: bool = False
    interaction: Interaction | None = None
    visible_to: int | None = None
    reference: Message | None = None
    forwarded: Message | None = None
    snapshot: Json | None = None
    """What `forwarded` looked like when it was forwarded, its links not signed."""
    reactions: dict[str, list[int]] = field(default_factory=dict)
    is_pinned: bool = False
    is_deleted: bool = False
    revisions: int = 0

    def __repr__(self) -> str:
        """What a failing test should show: who said what, where."""
        labels = [button.get("label") or button.get("custom_id") for button in self.buttons]
        files = [item.filename for item in self.attachments]
        state = "deleted " * self.is_deleted + "ephemeral " * self.is_ephemeral + "thinking " * self.is_loading
        said = f"{self.text[:200]!r} files={files} buttons={labels}"
        return f"<Message {state}by {self.author.username} in #{self.channel.name}: {said}>"

    @property
    def is_ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def is_loading(self) -> bool:
        """The "... is thinking" of a deferred response."""
        return bool(self.flags & LOADING)

    @property
    def is_v2(self) -> bool:
        return bool(self.flags & IS_COMPONENTS_V2)

    def every_component(self) -> Iterator[Json]:
        """Every component, at any depth, in reading order."""
        return walk(self.components)

    @property
    def buttons(self) -> list[Json]:
        return [c for c in self.every_component() if c["type"] == 2]

    def component(self, custom_id_or_label: str) -> Json:
        """The button or select with this `custom_id` or label.

        Raises LookupError that names what there is.
        """
        for key in ("custom_id", "label"):
            for component in self.every_component():
                if component.get(key) == custom_id_or_label:
                    return component
        names = [c.get("label") or c.get("custom_id") for c in self.every_component() if c["type"] in range(2, 9)]
        raise LookupError(f"no component {custom_id_or_label!r} in the message; it has {names}")

    @property
    def text(self) -> str:
        """All that can be read in it: content, text displays and embeds, one a line. A space is a space."""
        parts = [self.content]
        parts += [c["content"] for c in self.every_component() if c["type"] == 10]
        for embed in self.embeds:
            parts += [embed.get("title") or "", embed.get("description") or ""]
            for item in embed.get("fields", []):
                parts += [item["name"], item["value"]]
            parts.append((embed.get("footer") or {}).get("text") or "")
        return "\n".join(part for part in parts if part).replace("\u00a0", " ")


def walk(components: list[Json]) -> Iterator[Json]:
    """Every component of a tree, at any depth, in reading order."""
    for component in components:
        yield component
        yield from walk(component.get("components", []))
        for key in ("accessory", "component"):
            if isinstance(component.get(key), dict):
                yield from walk([component[key]])
