"""What newcomers read. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cogs.common.formatting import escape_markdown, format_small
from cogs.common.messages import Lines, MessageSpec, Rule
from cogs.common.status_lines import describe_state
from cogs.i18n.gettext import N_, _, ngettext

ABOUT_BOT = N_(
    "### Atelier\n"
    "A Discord bot that paints pictures on its operator's own machine. What you type stays on that "
    "machine, and every picture can be made again, byte for byte."
)
ABOUT_WITH_CLOUD = N_(
    "### Atelier\n"
    "A Discord bot that paints pictures on its operator's own machine and, when that is busy, has some painted by "
    "{host}. Each of those says so. Their prompts go there, and they cannot be made again byte for byte."
)
HELLO = N_(
    "### Hello, I paint pictures\n"
    "Type `/imagine` and describe what you want to see, for example\n"
    "> a red circle on a blue background"
)

HELP, ABOUT = "help", "about"
"""Lists that are shown by pages."""


def build_help(commands: Collection[tuple[str, str, int | None]]) -> MessageSpec:
    """Return the first help: what to type first, what the buttons do, their commands (name, what it does, id)."""
    start = _(HELLO)
    buttons = _(
        "**Buttons under the pictures**\n"
        "**U** enlarges a picture, **V** paints four variations of it, **Reroll** tries again with a new "
        "seed.\n"
        "**Remix** changes the prompt, **More** zooms out, repaints a part or adds detail.\n"
        "**Recipe** shows all settings: the same seed and settings give the same picture."
    )
    fair = _(
        "**Queue**\n"
        "All servers share one queue. Servers take turns, and so do the members of a server. If one "
        "member asks for a hundred pictures, the others do not wait for all of them."
    )
    listed = tuple(f"{_format_command(name, command_id)} {_(text)}" for name, text, command_id in commands)
    return MessageSpec(blocks=(start, Rule(), buttons, Rule(), fair, Rule(), Lines(listed, HELP)))


def _format_command(name: str, command_id: int | None) -> str:
    """Return a command that can be clicked."""
    return f"</{name}:{command_id}>" if command_id is not None else f"`/{name}`"


def build_about(
    *,
    models: Sequence[tuple[str, str]],
    is_ready: bool,
    num_waiting: int,
    num_running: int,
    is_paused: bool = False,
    cloud: str | None = None,
) -> MessageSpec:
    """Return what this is and how it is doing. `cloud`: the host of a cloud worker."""
    head = _(ABOUT_BOT) if cloud is None else _(ABOUT_WITH_CLOUD, host=escape_markdown(cloud))
    painted = tuple(format_small(f"{escape_markdown(name)} ({licence})") for name, licence in models)
    now = describe_state(num_running, is_ready=is_ready, is_paused=is_paused)
    waiting = ngettext("{number} picture is waiting.", "{number} pictures are waiting.", num_waiting)
    lines = (f"{now} {waiting}", _("Models:"))
    return MessageSpec(blocks=(head, "\n".join(format_small(line) for line in lines), Lines(painted, ABOUT)))
