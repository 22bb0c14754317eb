"""What people read where pictures are shared. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import escape_markdown, format_small, join_dotted
from cogs.common.message_limits import cut_text
from cogs.common.messages import Action, Button, Gallery, MessageSpec, Picture, Tone
from cogs.i18n.gettext import N_, _
from generation.jobs.job import Job

SHARED, TAKEN_BACK = N_("Shared: {link}"), N_("Taken back.")
BEING_SHARED, NOT_SHARED = N_("These pictures are being shared."), N_("These pictures are not shared.")
MAX_TITLE_CHARS, MAX_PICTURES = 100, 10


def build_shared(job: Job, pictures: Sequence[Picture], *, is_credited: bool) -> MessageSpec:
    """Return the post that shows pictures of a job."""
    by = (_("by {whom}", whom=f"<@{job.owner.user_id}>"),) if is_credited else ()
    small = format_small(join_dotted((_("AI-generated"), *by)))
    row = (Button(Action.RECIPE, job.id, _("Show recipe")), Button(Action.REPORT, job.id, _("Report")))
    prompt = f"> {escape_markdown(job.request.spec.prompt)}"
    return MessageSpec(blocks=(prompt, Gallery(tuple(pictures[:MAX_PICTURES])), small), rows=(row,), tone=Tone.DONE)


def build_title(job: Job) -> str:
    """Return the title of a post in a forum."""
    return cut_text(job.request.spec.prompt, MAX_TITLE_CHARS)
