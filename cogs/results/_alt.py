"""“Alt text”: what a member says of their finished pictures, for those who cannot see them."""

from __future__ import annotations

from cogs.common.forms import Answers, Form, Text
from cogs.common.lookups import fetch_job
from cogs.common.messages import Action
from cogs.common.modals import open_form
from cogs.common.policy_checks import require_may_request, require_words_allowed
from cogs.common.transformers import clean_typed_prompt
from cogs.context import FormHandler, Interaction, get_owner
from cogs.i18n.gettext import N_, _
from cogs.results._refresh import refresh_messages
from generation.jobs.errors import NotYourAltTextError, PictureDeletedError
from generation.jobs.job import Image, Job
from generation.requests.prompt import MAX_ALT_CHARS, check_alt
from generation.safety.minor_safety import protection

LABEL, HINT = N_("Alt text"), N_("What is to be seen, for those who cannot see it. Empty: the prompt.")

MAX_FIELDS = 5
"""What a form holds. Of more pictures, each has a button of its own."""


async def press_alt(interaction: Interaction, subject: str) -> None:
    job = await _fetch_own(interaction, subject)
    fields = tuple(_build_field(job, image) for image in _list_pictures(job, subject))
    if not fields:
        raise PictureDeletedError
    await open_form(interaction, Form(action=Action.ALT, subject=subject, title=_(LABEL), fields=fields))


async def send_alt(interaction: Interaction, subject: str, answers: Answers) -> None:
    """Keep what was written, and show it at once. Words are held against the same rules as a prompt."""
    job = await _fetch_own(interaction, subject)
    await require_may_request(interaction)
    keys = {_build_key(image): image for image in _list_pictures(job, subject)}
    alts = {keys[key].id: clean_typed_prompt(text) for key, text in answers.texts.items() if key in keys}
    for alt in alts.values():
        check_alt(alt)
    protection().require_harmless(tuple(alts.values()))
    await require_words_allowed(interaction, tuple(alts.values()))
    await interaction.client.services.alt_texts.set(alts)
    await refresh_messages(interaction, subject)


async def _fetch_own(interaction: Interaction, subject: str) -> Job:
    job = await fetch_job(interaction, subject)
    if job.owner != get_owner(interaction):
        raise NotYourAltTextError
    return job


def _list_pictures(job: Job, subject: str) -> list[Image]:
    """Return the pictures that a form is about: the one that its subject names, else as many as a form holds."""
    index = subject.partition(":")[2]
    named = [image for image in job.images if not index or str(image.index) == index]
    return [image for image in named if image.file_sha256 is not None][:MAX_FIELDS]


def _build_field(job: Job, image: Image) -> Text:
    label = _("Picture {number}", number=image.index + 1) if len(job.images) > 1 else _(LABEL)
    return Text(
        key=_build_key(image), label=label, value=image.alt or "", hint=_(HINT), is_long=True, max_chars=MAX_ALT_CHARS
    )


def _build_key(image: Image) -> str:
    return f"alt{image.index}"


PRESSES = {Action.ALT: press_alt}
FORMS: dict[Action, FormHandler] = {Action.ALT: send_alt}
