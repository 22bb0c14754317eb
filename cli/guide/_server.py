"""The step of `setup` that finds a server, and a channel in it where the bot may post."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cli.discord_api import (
    Application,
    Channel,
    DiscordUnreachableError,
    Server,
    build_invite_link,
    fetch_channels,
    fetch_servers,
)
from cli.guide.questions import Questions
from config import Settings
from generation.errors import ConfigurationError

_MOST_SHOWN = 20
_SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to type /imagine; without a channel, what has to be done first."""

    server: str = ""
    channel: str | None = None
    what_is_left: str = "Invite the bot with the link above."


def choose_place(
    settings: Settings, questions: Questions, token: str, application: Application, wanted: str | None
) -> Place:
    """Print the invite link and return where the bot may post. Raise `ConfigurationError` if `wanted` is no server."""
    questions.say("  This link adds the bot to a server of yours:")
    questions.say(f"  {build_invite_link(application.id)}")
    while True:
        try:
            found = _look(settings, questions, token, application, wanted)
        except DiscordUnreachableError as wrong:
            questions.say(f"  {wrong}")
            found = Place()
        if found.channel is not None:
            questions.say(f"  The bot may post in #{found.channel} of {found.server}.")
            return found
        questions.say(f"  {found.what_is_left}")
        if not questions.is_asking:
            return found
        if questions.ask(f"  Press Enter to look again, or type {_SKIP}").lower() == _SKIP:
            return found


def _look(settings: Settings, questions: Questions, token: str, application: Application, wanted: str | None) -> Place:
    servers = asyncio.run(fetch_servers(settings, token))
    if not servers:
        if wanted is not None and not questions.is_asking:
            raise _unknown(wanted, servers)
        return Place(what_is_left="The bot is in no server yet. Open the link and choose one.")
    server = _choose(questions, servers, wanted)
    name = _plain(server.name)
    channels = asyncio.run(fetch_channels(settings, token, server, application.bot_id))
    best = min(channels, key=lambda each: len(each.missing), default=Channel(0, "", ("a text channel",)))
    if not best.missing:
        return Place(name, _plain(best.name))
    where = f" in #{_plain(best.name)}, and no less in any other channel" if best.name else ""
    remedy = "Open the link again and confirm, or give its role these permissions in a channel."
    return Place(name, None, f"In {name} the bot lacks {', '.join(best.missing)}{where}. {remedy}")


def _choose(questions: Questions, servers: Sequence[Server], wanted: str | None) -> Server:
    """Return the only server, the one of that id or name, or the one that is chosen."""
    if wanted is not None:
        return _find(servers, wanted)
    if len(servers) == 1:
        return servers[0]
    shown = [_plain(each.name) for each in servers[:_MOST_SHOWN]]
    if len(servers) > _MOST_SHOWN:
        questions.say(f"  The first {_MOST_SHOWN} of {len(servers)} servers; of another type the id or the name.")
    while True:
        chosen = questions.choose("  Which server?", shown, 0)
        if isinstance(chosen, int):
            return servers[chosen]
        try:
            return _find(servers, chosen)
        except ConfigurationError as wrong:
            questions.say(f"  {wrong}")


def _find(servers: Sequence[Server], wanted: str) -> Server:
    found = [each for each in servers if wanted in (str(each.id), each.name)]
    if len(found) != 1:
        raise _unknown(wanted, servers)
    return found[0]


def _unknown(wanted: str, servers: Sequence[Server]) -> ConfigurationError:
    known = ", ".join(f"{_plain(each.name)} ({each.id})" for each in servers[:_MOST_SHOWN])
    remedy = f"Name one of these by its id: {known}." if known else "Open the invite link first."
    return ConfigurationError(problem=f"The bot is in no one server called {_plain(wanted)}.", remedy=remedy)


def _plain(name: str) -> str:
    """Return a name from Discord without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else "?" for each in name)
