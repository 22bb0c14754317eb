"""The defaults of a member, a channel and a server, for a request as it was typed (`generation.policy.defaults`)."""

from __future__ import annotations

from cogs.common.policy_checks import get_place, require_words_allowed
from cogs.context import Interaction, get_owner
from generation.errors import BlockedByRuleError, InvalidRequestError
from generation.models.catalog import Model
from generation.policy.defaults import Choice, Chooser, Layers, Wishes
from generation.policy.guild_preferences import NO_CHANNEL_DEFAULTS
from generation.policy.member_preferences import NO_PREFERENCES
from generation.policy.policy import ChannelContext
from generation.requests.style import Style
from generation.rules.folding import words_of_name

NO_PLACE = ChannelContext()


async def choose_defaults(interaction: Interaction, wishes: Wishes) -> Choice:
    """Return the values of a request, those that were left open from the defaults that hold here."""
    services = interaction.client.services
    policy = await services.guild_policy.fetch(get_owner(interaction).guild_id)
    own = services.preferences.chosen.get(interaction.user.id, NO_PREFERENCES)
    place, channel, style, forbidden = NO_PLACE, NO_CHANNEL_DEFAULTS, None, frozenset[str]()
    if own is not NO_PREFERENCES or policy.settings.choices.channel_defaults:
        place = get_place(interaction)
        channel = policy.settings.choices.find_channel_defaults(place.channel_ids)
        if channel.style is not None and wishes.takes_style and wishes.style is None:
            style = await _fetch_style(interaction, channel.style)
        if policy.rules.rules:
            words: dict[str, tuple[str, ...]] = {
                each: (each, words_of_name(each)) for each in (own.negative, own.model) if each
            }
            if style is not None:
                words[style.name] = (style.name, words_of_name(style.name), *style.around("", ""))
            forbidden = frozenset([each for each, texts in words.items() if await _is_forbidden(interaction, texts)])
    layers = Layers(policy=policy, place=place, own=own, channel=channel, style=style, forbidden=forbidden)
    return Chooser(wishes, layers, services.generation.catalog, services.generation.checks_safety).choose()


async def fetch_default_model(interaction: Interaction) -> Model:
    """Return the model that paints for this person here where none is named."""
    return (await choose_defaults(interaction, Wishes(has_shape=True))).model


async def fetch_chosen_model(interaction: Interaction) -> Model:
    """Return the model that is named in the same command so far, else the one that paints here where none is named."""
    models, named = interaction.client.services.generation.catalog.models, interaction.namespace.model
    return next((model for model in models if model.name == named), None) or await fetch_default_model(interaction)


async def _fetch_style(interaction: Interaction, name: str) -> Style | None:
    try:
        return await interaction.client.services.styles.fetch(get_owner(interaction).guild_id, name)
    except InvalidRequestError:
        return None


async def _is_forbidden(interaction: Interaction, texts: tuple[str, ...]) -> bool:
    """Return whether a rule forbids the person to say this here. It is not theirs to be refused for: it is no wish."""
    try:
        await require_words_allowed(interaction, texts)
    except BlockedByRuleError:
        return True
    return False
