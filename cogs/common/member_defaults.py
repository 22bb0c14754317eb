"""The defaults of a member, a channel and a server, for a request as it was typed (`generation.policy.defaults`)."""

from __future__ import annotations

from functools import partial

from cogs.common.policy_checks import fetch_context, fetch_policy
from cogs.context import Interaction, get_owner
from generation.admission import defaults
from generation.models.catalog import Model
from generation.models.editing import find_editor, require_editor
from generation.policy.defaults import Choice, Wishes


async def choose_defaults(interaction: Interaction, wishes: Wishes) -> Choice:
    """Return the values of a request, those that were left open from the defaults that hold here."""
    services, owner = interaction.client.services, get_owner(interaction)
    return await defaults.choose_defaults(services, owner, wishes, partial(fetch_context, interaction))


async def fetch_default_model(interaction: Interaction) -> Model:
    """Return the model that paints for this person here where none is named."""
    return (await choose_defaults(interaction, Wishes(has_shape=True))).model


async def fetch_editor(interaction: Interaction, named: Model | None = None, *, painted_by: str | None = None) -> Model:
    """Return the model that edits by instruction here: the one that is named, else the first that can and may.

    The one that painted the picture (`painted_by`, its name) comes first, then the one that paints here.
    Raise `InvalidRequestError` if the one that is named cannot, or none can.
    """
    models = interaction.client.services.generation.catalog.models
    if named is not None:
        require_editor(named, models)
        return named
    first = (*(each for each in models if each.name == painted_by), await fetch_default_model(interaction))
    return find_editor((*first, *models), allowed=(await fetch_policy(interaction)).choices.models)


async def fetch_chosen_model(interaction: Interaction) -> Model:
    """Return the model that is named in the same command so far, else the one that paints here where none is named."""
    models, named = interaction.client.services.generation.catalog.models, interaction.namespace.model
    return next((model for model in models if model.name == named), None) or await fetch_default_model(interaction)
