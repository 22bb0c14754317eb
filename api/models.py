"""The models that a key may use."""

from __future__ import annotations

from api.admission import fetch_context
from api.context import ApiContext
from api.keys import Caller
from generation.models.catalog import Model
from generation.policy.defaults import adapt_model


async def fetch_models(context: ApiContext, caller: Caller) -> list[Model]:
    """Return them as the key's server has set them, the default of all first."""
    policy = (await fetch_context(context, caller)).policy
    allowed = policy.choices.models
    return [
        adapt_model(each, policy)
        for each in context.rooms.generation.catalog.models
        if not allowed or each.name in allowed
    ]
