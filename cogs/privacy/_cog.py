"""/privacy: what is kept of a person, as a file, and everything of it deleted."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import IO

from discord import app_commands
from discord.app_commands import Choice
from discord.ext import commands

from cogs.common.errors import NotSureError
from cogs.common.formatting import format_pictures as in_pictures
from cogs.common.formatting import format_small
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.messages import MessageSpec, Picture, Rule
from cogs.common.policy_checks import fetch_policy
from cogs.common.responses import send_reply, send_text
from cogs.context import Interaction, is_in_server
from cogs.i18n.gettext import N_, _, ngettext
from db.admin.personal import COUNTED
from generation.cloud.money import CloudTerms
from generation.images.cleanup import remove_files

OF_YOU = N_("Stored about you: {requests}, {pictures}.")
MANY = N_("more than {pictures}")
FILE_OF = N_("File {number} of {total}.")

SURE = "DELETE"
_WHAT = [Choice(name=name, value=name) for name in ("show", "export", "delete")]
_DELETED = N_("All your data is deleted: requests, pictures, history and your own quotas.")
_KEPT = N_(
    "**What I store about you**\n"
    "Your requests (prompts, settings, seeds), their pictures, pictures that you attach, your "
    "favourites, your defaults (`/me`), the names of your keys (`/token`), and how much you use the bot. All of it is "
    "stored under a random key. Only one table connects that key to you.\n"
    "**How long I store it**\n"
    "Until you or the managers of your server delete it. {retention} Logs do not contain your "
    "prompts. Backups that the operator made earlier contain your data until they are deleted.\n"
    "**What I do not store**\n"
    "Your name, your messages, and anything that you do not send me with a command, button or form.\n"
    "**What stays after you delete your data**\n"
    "Totals of what was used, under a key that is not connected to you, so that the sums stay "
    "correct. If a moderator blocked you, a keyed hash of that block."
)


_SENT = N_(
    "**What I send elsewhere**\n"
    "When I have much to paint, I send the prompt, the size and the seed of some requests to {host}, which paints "
    "them. I do not send who you are, where you asked, or pictures that you attach."
)


class Privacy(commands.Cog):
    """One's own data only: there is no way to name another person."""

    @app_commands.command(description="Show, export or delete the data that the bot stores about you.")
    @app_commands.describe(
        what="Show, export or delete your data.", sure=f"To delete: type {SURE}. It cannot be undone."
    )
    @app_commands.choices(what=_WHAT)
    async def privacy(self, interaction: Interaction, what: Choice[str] | None = None, sure: str | None = None) -> None:
        chosen = what.value if what else "show"
        if chosen == "export":
            await _send_export(interaction)
        elif chosen == "delete":
            await _delete(interaction, sure)
        else:
            await _show(interaction)


async def _show(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    services = interaction.client.services
    days = 0
    if is_in_server(interaction):
        days = (await fetch_policy(interaction)).choices.retention_days
    jobs, pictures = await services.personal.count(interaction.user.id)
    await send_reply(interaction, build_summary(days, jobs, pictures, cloud=services.cloud_terms))


def build_summary(days: int, num_jobs: int, num_pictures: int, *, cloud: CloudTerms | None = None) -> MessageSpec:
    """Return what is kept of a person, and for how long: `days` where the server says so, else 0. `cloud`: where else
    prompts are sent."""
    retention = ngettext(
        "This server deletes finished pictures after {number} day.",
        "This server deletes finished pictures after {number} days.",
        days,
    )
    requests = ngettext("{number} request", "{number} requests", num_jobs)
    pictures = in_pictures(min(num_pictures, COUNTED))
    return MessageSpec(
        blocks=(
            _("### Privacy"),
            _(_KEPT, retention=retention if days else "").replace("  ", " "),
            *([_(_SENT, host=cloud.host)] if cloud is not None else []),
            Rule(),
            _(
                OF_YOU,
                requests=requests,
                pictures=_(MANY, pictures=pictures) if num_pictures > COUNTED else pictures,
            ),
            format_small(
                _(
                    "To get your data as a file: `/privacy what:export`. To delete it: `/privacy what:delete "
                    "sure:DELETE`."
                )
            ),
        )
    )


def build_export(name: str, data: bytes, number: int, total: int) -> MessageSpec:
    """One of the files with what is kept of a person."""
    said = _("### Your data\nEverything the bot stores about you, as JSON. Your pictures are in `/history`.")
    if total > 1:
        said += "\n" + format_small(_(FILE_OF, number=number, total=total))
    return MessageSpec(blocks=(said,), attached=(Picture(name, data, _("Your data")),))


async def _send_export(interaction: Interaction) -> None:
    """One file a message: Discord has a limit for all files of a message too."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    personal, limit = interaction.client.services.personal, interaction.filesize_limit or DEFAULT_SIZE_LIMIT
    parts = await personal.export(interaction.user.id, part_bytes=limit)
    with ExitStack() as open_files:
        for part in parts:
            open_files.enter_context(part.file)
        for number, part in enumerate(parts, start=1):
            data = await asyncio.to_thread(_read, part.file)
            await send_reply(interaction, build_export(part.name, data, number, len(parts)))


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


async def _delete(interaction: Interaction, sure: str | None) -> None:
    if sure != SURE:
        raise NotSureError(word=SURE)
    await interaction.response.defer(ephemeral=True, thinking=True)
    services, user_id = interaction.client.services, interaction.user.id
    for job_id in services.generation.list_user_jobs(user_id):
        await services.generation.cancel(job_id)
    await asyncio.to_thread(services.pending_uploads.forget, user_id)  # before: what is attached meanwhile is kept
    number = 0
    async for gone in services.personal.erase(user_id):
        await remove_files(services.generation.files, gone)
        number += len(gone)
    await services.preferences.refresh(user_id)
    services.jobs.forget_withheld()
    interaction.client.tracker.take_kept(user_id)
    await send_text(interaction, format_deleted(number))


def format_deleted(num_files: int) -> str:
    files_gone = ngettext("{number} file deleted from the bot.", "{number} files deleted from the bot.", num_files)
    return f"{_(_DELETED)} {files_gone}"
