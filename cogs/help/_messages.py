"""What newcomers read. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cogs.common.formatting import escape_markdown, format_small
from cogs.common.messages import Lines, MessageSpec, Rule
from cogs.common.status_lines import describe_state
from cogs.i18n.gettext import N_, _, ngettext

ABOUT_BOT = N_(
    "### Atelier\n"
    "A painter for Discord that runs on its keeper's own machine. Nothing you type leaves it, and every picture "
    "can be made again, byte for byte."
)
HELLO = N_(
    "### Hello, I paint\n"
    "Type `/imagine` and say what you would like to see, for example\n"
    "> a red circle on a blue background"
)

HELP, ABOUT = "help", "about"
"""Lists that are shown by pages."""


def build_help(commands: Collection[tuple[str, str, int | None]]) -> MessageSpec:
    """Return the first help: what to type first, what the buttons do, their commands (name, what it does, id)."""
    start = _(HELLO)
    buttons = _(
        "**Under the pictures**\n"
        "**U** enlarges one, **V** paints four more like it, **Reroll** tries again.\n"
        "**Remix** changes the words, **More** zooms out, repaints a part, adds detail.\n"
        "**Recipe** shows all settings; with the same seed and settings you get the same picture."
    )
    fair = _(
        "**Waiting**\n"
        "All servers share one painter. Servers take turns, and inside a server its members do, "
        "so nobody is held up by somebody's hundred pictures."
    )
    listed = tuple(f"{_format_command(name, command_id)} {_(text)}" for name, text, command_id in commands)
    return MessageSpec(blocks=(start, Rule(), buttons, Rule(), fair, Rule(), Lines(listed, HELP)))


def _format_command(name: str, command_id: int | None) -> str:
    """Return a command that can be clicked."""
    return f"</{name}:{command_id}>" if command_id is not None else f"`/{name}`"


def build_about(
    *, models: Sequence[tuple[str, str]], is_ready: bool, num_waiting: int, num_running: int, is_paused: bool = False
) -> MessageSpec:
    """Return what this is and how it is doing."""
    head = _(ABOUT_BOT)
    painted = tuple(format_small(f"{escape_markdown(name)} ({escape_markdown(licence)})") for name, licence in models)
    now = describe_state(num_running, is_ready=is_ready, is_paused=is_paused)
    waiting = ngettext("{number} picture is waiting.", "{number} pictures are waiting.", num_waiting)
    lines = (f"{now} {waiting}", _("Models:"))
    return MessageSpec(blocks=(head, "\n".join(format_small(line) for line in lines), Lines(painted, ABOUT)))
