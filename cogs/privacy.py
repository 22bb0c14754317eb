"""/privacy: what is kept of a person, as a file, and everything of it deleted."""

from __future__ import annotations

import asyncio

from discord import app_commands
from discord.app_commands import Choice
from discord.ext import commands

from cogs.language import N_, _, ngettext
from cogs.paper import files, layout
from cogs.say import Picture, Rule, Say
from cogs.services import Interaction
from cogs.words import pictures as in_pictures
from cogs.words import small
from generation.errors import InvalidRequest
from generation.phrase import Phrase

SURE = "DELETE"
_WHAT = [Choice(name=name, value=name) for name in ("show", "export", "delete")]
_DELETED = N_("Everything of yours is deleted: requests, pictures, history, quotas of your own.")
_KEPT = N_(
    "**What I keep of you**\n"
    "Your requests (words, settings, seeds), the pictures made of them, pictures you attached to start from, your "
    "favourites, and how much you asked for, under a random key that only one table can lead back to you.\n"
    "**For how long**\n"
    "Until you delete it, or your server's managers do. {retention} Logs hold no words of yours. Backups that the "
    "operator made before keep it until they are thrown away.\n"
    "**What I do not keep**\n"
    "Your name, your messages, or anything you did not send me with a command, button or form.\n"
    "**What stays when you delete**\n"
    "Sums of what was used, under a key that leads to no one, so that the books add up; and that a moderator blocked "
    "you, as a keyed hash."
)


class Privacy(commands.Cog):
    """One's own data only: there is no way to name somebody else."""

    @app_commands.command(description="What I keep of you; as a file; or delete all of it.")
    @app_commands.describe(
        what="Show what is kept, export it, or delete it.", sure=f"To delete: type {SURE}. It cannot be undone."
    )
    @app_commands.choices(what=_WHAT)
    async def privacy(self, interaction: Interaction, what: Choice[str] | None = None, sure: str | None = None) -> None:
        chosen = what.value if what else "show"
        if chosen == "export":
            await _export(interaction)
        elif chosen == "delete":
            await _delete(interaction, sure)
        else:
            await _show(interaction)


async def _show(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    services = interaction.client.services
    days = 0
    if interaction.guild_id is not None:
        days = (await services.governance.policy(interaction.guild_id)).choices.retention_days
    retention = ngettext(
        "This server deletes finished pictures after {number} day.",
        "This server deletes finished pictures after {number} days.",
        days,
    )
    jobs, pictures = await services.personal.count(interaction.user.id)
    requests = ngettext("{number} request", "{number} requests", jobs)
    blocks = (
        _("### Privacy"),
        _(_KEPT, retention=retention if days else "").replace("  ", " "),
        Rule(),
        _("Of you: {requests}, {pictures}.", requests=requests, pictures=in_pictures(pictures)),
        small(_("`/privacy what:export` gives it to you, `/privacy what:delete sure:DELETE` deletes it.")),
    )
    await interaction.followup.send(view=layout(Say(blocks=blocks)), ephemeral=True)


async def _export(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    data = await interaction.client.services.personal.export(interaction.user.id)
    limit = interaction.filesize_limit
    if len(data) > limit:
        problem = Phrase("is over the {most} MiB Discord takes. Ask the operator.", most=limit // 2**20)
        raise InvalidRequest(what=Phrase("Your data"), problem=problem)
    say = Say(
        blocks=(_("### Your data\nAll that is kept of you, as JSON. Pictures are in `/history`."),),
        attached=(Picture("my-data.json", data, _("Your data")),),
    )
    await interaction.followup.send(view=layout(say), files=files(say), ephemeral=True)


async def _delete(interaction: Interaction, sure: str | None) -> None:
    if sure != SURE:
        problem = Phrase("must be {word}: this deletes everything and cannot be undone.", word=SURE)
        raise InvalidRequest(what=Phrase("`sure`"), problem=problem)
    await interaction.response.defer(ephemeral=True, thinking=True)
    services, user_id = interaction.client.services, interaction.user.id
    for job_id in services.studio.jobs_of_user(user_id):
        await services.studio.cancel(job_id)
    gone = await services.personal.erase(user_id)
    await asyncio.to_thread(services.held.forget, user_id)
    services.jobs.forget_withheld()
    for sha256 in gone:
        await asyncio.to_thread(services.studio.files.remove, sha256)
    interaction.client.courier.take_kept(user_id)
    files_gone = ngettext("{number} file went from my disk.", "{number} files went from my disk.", len(gone))
    await interaction.followup.send(f"{_(_DELETED)} {files_gone}", ephemeral=True)
