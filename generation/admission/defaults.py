"""The defaults of a member, a channel and a guild, for a request as it was typed (`generation.policy.defaults`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from generation.admission.context import RequestContext
from generation.admission.gate import require_words_allowed
from generation.admission.rooms import Rooms
from generation.errors import BlockedByRuleError, InvalidRequestError
from generation.owner import Owner
from generation.policy.defaults import Choice, Chooser, Layers, Wishes
from generation.policy.guild_preferences import NO_CHANNEL_DEFAULTS
from generation.policy.member_preferences import NO_PREFERENCES
from generation.policy.policy import ChannelContext
from generation.requests.style import Style
from generation.rules.folding import words_of_name

NO_PLACE = ChannelContext()


async def choose_defaults(
    rooms: Rooms, owner: Owner, wishes: Wishes, fetch_context: Callable[[], Awaitable[RequestContext]]
) -> Choice:
    """Return the values of a request, those that were left open from the defaults that hold here.

    `fetch_context` is asked only where someone has chosen defaults that depend on who asks, and where.
    """
    policy = await rooms.guild_policy.fetch(owner.guild_id)
    own = rooms.preferences.chosen.get(owner.user_id, NO_PREFERENCES)
    place, channel, style, forbidden = NO_PLACE, NO_CHANNEL_DEFAULTS, None, frozenset[str]()
    if own is not NO_PREFERENCES or policy.settings.choices.channel_defaults:
        context = await fetch_context()
        place = context.place
        channel = policy.settings.choices.find_channel_defaults(place.channel_ids)
        if channel.style is not None and wishes.takes_style and wishes.style is None:
            style = await _fetch_style(rooms, owner.guild_id, channel.style)
        if policy.rules.rules:
            words: dict[str, tuple[str, ...]] = {
                each: (each, words_of_name(each)) for each in (own.negative, own.model) if each
            }
            if style is not None:
                words[style.name] = (style.name, words_of_name(style.name), *style.around("", ""))
            forbidden = frozenset([each for each, texts in words.items() if await _is_forbidden(rooms, context, texts)])
    layers = Layers(policy=policy, place=place, own=own, channel=channel, style=style, forbidden=forbidden)
    return Chooser(wishes, layers, rooms.generation.catalog, rooms.generation.checks_safety).choose()


async def _fetch_style(rooms: Rooms, guild_id: int, name: str) -> Style | None:
    try:
        return await rooms.styles.fetch(guild_id, name)
    except InvalidRequestError:
        return None


async def _is_forbidden(rooms: Rooms, context: RequestContext, texts: tuple[str, ...]) -> bool:
    """Return whether a rule forbids the person to say this here. It is not theirs to be refused for: it is no wish."""
    try:
        await require_words_allowed(rooms, context, texts)
    except BlockedByRuleError:
        return True
    return False
