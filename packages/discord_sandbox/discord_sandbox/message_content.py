"""The content of a message and its files, with the questions a test or a person asks of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from discord_sandbox.json_types import Json

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
    """A file to upload: `data` are its bytes."""

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


@dataclass(eq=False, repr=False, kw_only=True)
class MessageContent:
    """What can be read and pressed in a message."""

    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0

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

    def list_components(self) -> Iterator[Json]:
        """Return every component, at any depth, in reading order."""
        return walk(self.components)

    @property
    def buttons(self) -> list[Json]:
        return [c for c in self.list_components() if c["type"] == 2]

    def component(self, custom_id_or_label: str) -> Json:
        """Return the button or select with this `custom_id` or label.

        Raise LookupError that names what there is.
        """
        for key in ("custom_id", "label"):
            for component in self.list_components():
                if component.get(key) == custom_id_or_label:
                    return component
        names = [c.get("label") or c.get("custom_id") for c in self.list_components() if c["type"] in range(2, 9)]
        raise LookupError(f"The message has no component {custom_id_or_label!r}; it has {names}.")

    @property
    def text(self) -> str:
        """All that can be read in it: content, text displays and embeds, one a line. A space is a space."""
        parts = [self.content]
        parts += [c["content"] for c in self.list_components() if c["type"] == 10]
        for embed in self.embeds:
            parts += [embed.get("title") or "", embed.get("description") or ""]
            for item in embed.get("fields", []):
                parts += [item["name"], item["value"]]
            parts.append((embed.get("footer") or {}).get("text") or "")
        return "\n".join(part for part in parts if part).replace("\u00a0", " ")


def walk(components: list[Json]) -> Iterator[Json]:
    """Yield every component of a tree, at any depth, in reading order."""
    for component in components:
        yield component
        yield from walk(component.get("components", []))
        for key in ("accessory", "component"):
            if isinstance(component.get(key), dict):
                yield from walk([component[key]])
