"""What the shell asks Discord: whose token it is, where the bot is, and what it may do there. It changes nothing."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp
from yarl import URL

from cli.network import ProxyConnector, named, proxy_for
from config import Settings
from generation.errors import ConfigurationError

_API = "https://discord.com/api/v10"
_TIMEOUT_S = 15
_INVITE = URL("https://discord.com/oauth2/authorize")
NEEDED: Mapping[str, int] = MappingProxyType(
    {
        "View Channels": 1 << 10,
        "Send Messages": 1 << 11,
        "Send Messages in Threads": 1 << 38,
        "Embed Links": 1 << 14,
        "Attach Files": 1 << 15,
        "Read Message History": 1 << 16,
    }
)
"""The permissions that the bot needs, as Discord shows them."""
_ADMINISTRATOR, _ALL = 1 << 3, (1 << 64) - 1
_TEXT_CHANNEL = 0
_PAGE = 200
_OTHER_KINDS = (
    (r"\d{15,20}", "the id of an application or a user"),
    (r"[0-9a-f]{64}", "the application's public key"),
    (r"https?://\S+", "a link"),
    (r"mfa\.\S+", "the token of a person's account"),
    (r"[\w-]{32}", "the application's client secret"),
    (r"[A-Za-z0-9]{30}", "an access token of OAuth2"),
)
"""What else people copy from the developer portal, by its form."""
_WHERE = "On the “Bot” page of your application, press “Reset Token” and copy what appears."


class DiscordUnreachableError(ConfigurationError):
    """{problem} {remedy}"""


@dataclass(frozen=True, slots=True)
class Application:
    """The bot's application, and who owns it."""

    id: int
    name: str
    bot_id: int
    owner_id: int
    owner_name: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A text channel, and which of the needed permissions the bot lacks in it."""

    id: int
    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the bot is in."""

    id: int
    name: str


def find_application_id(token: str) -> int:
    """Return the id that a bot's token begins with. Raise `ConfigurationError` naming what it is instead."""
    head, *rest = token.split(".")
    try:
        text = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if len(rest) == 2 and all(rest) and text.isdecimal() and len(text) <= 20:
        return int(text)
    kind = next((name for pattern, name in _OTHER_KINDS if re.fullmatch(pattern, token)), "")
    problem = f"This is {kind}, not the bot's token." if kind else "This is not a bot's token: it is not whole."
    raise ConfigurationError(problem=problem, remedy=_WHERE)


def build_invite_link(application_id: int) -> str:
    """Return the link that adds the bot to a server, with the permissions it needs and no others."""
    permissions = str(sum(NEEDED.values()))
    query = {"client_id": str(application_id), "scope": "bot applications.commands", "permissions": permissions}
    return str(_INVITE % query)


def build_install_link(application_id: int) -> str:
    """Return the link by which people add the bot to their own account."""
    query = {"client_id": str(application_id), "scope": "applications.commands", "integration_type": "1"}
    return str(_INVITE % query)


async def fetch_application(settings: Settings, token: str) -> Application:
    """Return whose token it is. Raise `ConfigurationError` if Discord refuses it, or `DiscordUnreachableError`."""
    try:
        found = await _get(settings, token, "applications/@me")
    except _RefusedError:
        find_application_id(token)  # says what it is instead, where its form tells
        problem = "Discord refuses the token: it was reset, or not copied whole."
        raise ConfigurationError(problem=problem, remedy=f"{_WHERE} It goes into ATELIER_DISCORD_TOKEN.") from None
    owner, team = found.get("owner") or {}, found.get("team") or {}
    owner_id = int(team.get("owner_user_id") or owner.get("id") or 0)
    name = "" if team else str(owner.get("username") or "")
    bot_id = int((found.get("bot") or {}).get("id") or found["id"])
    return Application(int(found["id"]), str(found["name"]), bot_id, owner_id, name)


async def fetch_servers(settings: Settings, token: str) -> list[Server]:
    """Return every server that the bot is in. Raise `DiscordUnreachableError`."""
    found: list[Server] = []
    while True:
        query = {"limit": str(_PAGE), "after": str(found[-1].id if found else 0)}
        page = await _get(settings, token, "users/@me/guilds", query)
        found += [Server(int(each["id"]), str(each["name"])) for each in page]
        if len(page) < _PAGE:
            return found


async def fetch_channels(settings: Settings, token: str, server: Server, bot_id: int) -> list[Channel]:
    """Return the text channels of a server in Discord's order. Raise `DiscordUnreachableError`."""
    place = f"guilds/{server.id}"
    guild = await _get(settings, token, place)
    member = await _get(settings, token, f"{place}/members/{bot_id}")
    granted = _permissions_of_roles(guild, [str(server.id), *member["roles"]])
    channels = [each for each in await _get(settings, token, f"{place}/channels") if each["type"] == _TEXT_CHANNEL]
    channels.sort(key=lambda each: (each.get("position", 0), int(each["id"])))
    return [
        Channel(int(each["id"]), str(each["name"]), _missing(_in_channel(granted, each, server.id, member, bot_id)))
        for each in channels
    ]


def _permissions_of_roles(guild: Any, role_ids: Sequence[str]) -> int:
    granted = 0
    for role in guild["roles"]:
        if role["id"] in role_ids:
            granted |= int(role["permissions"])
    return granted


def _in_channel(granted: int, channel: Any, server_id: int, member: Any, bot_id: int) -> int:
    """Discord's order: what a channel says of everyone, then of the roles together, then of the member."""
    if granted & _ADMINISTRATOR:
        return _ALL
    said = {each["id"]: (int(each["allow"]), int(each["deny"])) for each in channel.get("permission_overwrites", [])}
    for group in ([str(server_id)], member["roles"], [str(bot_id)]):
        chosen = [said[each] for each in group if each in said]
        for _, deny in chosen:
            granted &= ~deny
        for allow, _ in chosen:
            granted |= allow
    return granted


def _missing(granted: int) -> tuple[str, ...]:
    return tuple(name for name, bit in NEEDED.items() if not granted & bit)


class _RefusedError(Exception):
    """Discord does not know the token."""


async def _get(settings: Settings, token: str, path: str, query: Mapping[str, str] | None = None) -> Any:
    """Return what Discord answers. Raise `_RefusedError` for the token, `DiscordUnreachableError` for all else."""
    address = URL(f"{settings.discord_url}/api/v10" if settings.discord_url else _API) / path
    try:
        async with (
            aiohttp.ClientSession(
                connector=ProxyConnector(), timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)
            ) as session,
            session.get(address, params=query, headers={"Authorization": f"Bot {token}"}) as answer,
        ):
            if answer.status == 401:
                raise _RefusedError
            answer.raise_for_status()
            return await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise _unreachable(error, describe_way(settings)) from None


def describe_way(settings: Settings) -> str:
    """Return how Discord is reached, to continue a sentence: through a proxy, or empty."""
    proxy = proxy_for(URL(settings.discord_url or _API))
    return f" through the proxy {named(proxy)}" if proxy else ""


def _unreachable(error: Exception, way: str) -> DiscordUnreachableError:
    """Return what to tell where Discord did not answer."""
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == 407:
        remedy = "Write them into it: ATELIER_PROXY=http://NAME:PASSWORD@HOST:PORT."
        return DiscordUnreachableError(
            problem=f"Discord cannot be reached{way}: the proxy needs a name and a password.", remedy=remedy
        )
    said = f"HTTP status {error.status}" if isinstance(error, aiohttp.ClientResponseError) else type(error).__name__
    remedy = "Check the network of this machine, and its proxy if it needs one (ATELIER_PROXY)."
    return DiscordUnreachableError(problem=f"Discord cannot be reached{way} ({said}).", remedy=remedy)
