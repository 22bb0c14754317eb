"""A picture beside the words of /imagine: which one, which IP-Adapter looks at it, and how strongly it counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Choice, Range

from cogs.common.attachments import Lent, lend_files, read_attachment
from cogs.common.errors import NoReferenceError, ReferenceTwiceError
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.member_defaults import fetch_chosen_model
from cogs.common.picture_sources import fetch_source
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.common.transformers import filter_choices
from cogs.context import Interaction
from generation.jobs.errors import PictureDeletedError
from generation.jobs.job import Job
from generation.models.catalog import Model
from generation.models.ip_adapters import find_ip_adapter
from generation.requests.image_prompt import MAX_STRENGTH, USUAL_STRENGTH, ImagePrompt, fit_reference
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE

ReferenceStrength = Range[float, 0.0, MAX_STRENGTH]
OPTIONS = {
    "reference": "A picture to paint something like, beside the words.",
    "reference_from": "Or one that is here already: your last one, or one by its id or the link to its message.",
    "reference_strength": "How much the reference counts, 0 to 2. Default: 0.6.",
    "adapter": "The IP-Adapter that looks at the reference. The model's first if left out.",
}


class AdapterOption(app_commands.Transformer[Any]):
    """An IP-Adapter by name; those that fit the model are offered while typing. Stays text: the command knows the
    model."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[Choice[str]]:
        model = await fetch_chosen_model(interaction)
        return filter_choices([(each.name, each.name) for each in model.ip_adapters], value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture to paint something like."""

    picture: Found | Attached
    adapter: str | None = None
    strength: float = USUAL_STRENGTH

    @property
    def attached(self) -> Attached | None:
        return self.picture if isinstance(self.picture, Attached) else None

    def add_to(self, request: GenerationRequest, model: Model, sha256: str = NO_FILE) -> GenerationRequest:
        """Return the request with it; `sha256`: of an attached one. Raise `InvalidRequestError` if it cannot be seen.

        With a picture that was attached it counts as an upload.
        """
        file = find_ip_adapter(model.ip_adapters, self.adapter, model=model.name)
        own = None if isinstance(self.picture, Attached) else self.picture
        if own is not None and own.image.file_sha256 is None:
            raise PictureDeletedError
        prompt = ImagePrompt(
            adapter=file.name,
            adapter_sha256=file.sha256,
            sha256=(own.image.file_sha256 or "") if own is not None else sha256,
            strength=self.strength,
        )
        request = replace(request, spec=replace(request.spec, image_prompt=prompt))
        if own is None:
            return replace(request, parent=None)
        return replace(request, parent=request.parent or own.image.id)

    async def keep(self, lent: Lent) -> str:
        """Fetch and put an attached one, and return its SHA-256; nothing is done for one of ours."""
        if self.attached is None:
            return NO_FILE
        sha256, _ = await lent.keep_attached(self.attached, fit_reference)
        return sha256


async def fetch_reference(
    interaction: Interaction,
    attached: discord.Attachment | None,
    named: str | None,
    strength: float | None,
    adapter: str | None,
) -> Reference:
    """Return the reference that a command was given. Raise `RefusedError`, also for options of one without one."""
    if attached is not None and named is not None:
        raise ReferenceTwiceError
    if attached is None and named is None:
        raise NoReferenceError
    picture = await fetch_source(interaction, named) if named is not None else None
    if attached is not None:
        picture = read_attachment(attached, option="reference")
    assert picture is not None
    return Reference(picture=picture, adapter=adapter, strength=USUAL_STRENGTH if strength is None else strength)


async def submit_looking(
    interaction: Interaction, request: GenerationRequest, model: Model, reference: Reference
) -> Job:
    """Have pictures painted that look at a reference. An attached one is fetched once the answer is on its way."""
    trial = reference.add_to(request, model)
    if reference.attached is None:
        return await acknowledge_and_submit(interaction, trial)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        sha256 = await reference.keep(lent)
        return await submit(interaction, reference.add_to(request, model, sha256), acknowledged, attached={sha256})
