"""Routes of guilds, their members and roles, and of the gateway's address."""

from __future__ import annotations

from discord_sandbox.effective_permissions import compute_guild_permissions
from discord_sandbox.errors import MissingPermissionsError, UnknownMemberError, UnknownRoleError
from discord_sandbox.guilds import Guild, Member
from discord_sandbox.payloads import (
    serialize_channel,
    serialize_guild,
    serialize_member,
    serialize_own_guild,
    serialize_role,
)
from discord_sandbox.permissions import Permission
from discord_sandbox.rest.access import find_guild
from discord_sandbox.rest.call import NOTHING, Call, RestResponse, Route, parse_snowflake
from discord_sandbox.users import Role


def _get_guild(call: Call) -> RestResponse:
    guild = find_guild(call)
    payload = serialize_guild(guild)
    if call.query.get("with_counts") in ("1", "true"):
        payload |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
    return RestResponse(200, payload)


def _list_own_guilds(call: Call) -> RestResponse:
    mine = sorted((g for g in call.services.world.guilds.values() if g.has_bot), key=lambda guild: guild.id)
    after = parse_snowflake(call.query.get("after", "0"), "after")
    limit = int(call.query.get("limit", 200))
    return RestResponse(200, [serialize_own_guild(guild) for guild in mine if guild.id > after][:limit])


def _leave(call: Call) -> RestResponse:
    find_guild(call).kick_bot()
    return NOTHING


def _list_channels(call: Call) -> RestResponse:
    return RestResponse(200, [serialize_channel(c) for c in find_guild(call).channels.values() if not c.is_thread])


def _list_active_threads(call: Call) -> RestResponse:
    threads = [serialize_channel(c) for c in find_guild(call).channels.values() if c.is_thread]
    return RestResponse(200, {"threads": threads, "members": [], "has_more": False})


def _list_roles(call: Call) -> RestResponse:
    return RestResponse(200, [serialize_role(role) for role in find_guild(call).roles.values()])


def _find_member(call: Call) -> Member:
    found = find_guild(call).members.get(call.get_id("user_id"))
    if found is None:
        raise UnknownMemberError()
    return found


def _get_member(call: Call) -> RestResponse:
    return RestResponse(200, serialize_member(_find_member(call)))


def _list_members(call: Call) -> RestResponse:
    after = parse_snowflake(call.query.get("after", "0"), "after")
    limit = int(call.query.get("limit", 1))
    members = sorted(find_guild(call).members.values(), key=lambda member: member.id)
    return RestResponse(200, [serialize_member(member) for member in members if member.id > after][:limit])


def _rename_self(call: Call) -> RestResponse:
    member = find_guild(call).bot_member
    if "nick" in call.object:
        member.nick = call.object["nick"] or None
        call.services.world.publish("member_update", guild=member.guild, member=member)
    return RestResponse(200, serialize_member(member))


def _find_role(call: Call, guild: Guild) -> Role:
    role = guild.roles.get(call.get_id("role_id"))
    if role is None:
        raise UnknownRoleError()
    if not compute_guild_permissions(guild.bot_member) & Permission.MANAGE_ROLES:
        raise MissingPermissionsError()
    return role


def _give_role(call: Call) -> RestResponse:
    member = _find_member(call)
    member.add_role(_find_role(call, member.guild))
    return NOTHING


def _take_role(call: Call) -> RestResponse:
    member = _find_member(call)
    member.remove_role(_find_role(call, member.guild))
    return NOTHING


def _get_gateway(call: Call) -> RestResponse:
    return RestResponse(200, {"url": call.services.gateway.url})


def _get_gateway_bot(call: Call) -> RestResponse:
    gateway, guilds = call.services.gateway, call.services.world.guilds.values()
    said = gateway.session_starts.describe(sum(guild.has_bot for guild in guilds))
    return RestResponse(200, {"url": gateway.url, **said})


def list_routes() -> list[Route]:
    guild = "/guilds/{guild_id}"
    member = guild + "/members/{user_id}"
    return [
        Route("GET", "/gateway", _get_gateway, needs_token=False),
        Route("GET", "/gateway/bot", _get_gateway_bot),
        Route("GET", "/users/@me/guilds", _list_own_guilds),
        Route("DELETE", "/users/@me/guilds/{guild_id}", _leave),
        Route("GET", guild, _get_guild),
        Route("GET", guild + "/channels", _list_channels),
        Route("GET", guild + "/threads/active", _list_active_threads),
        Route("GET", guild + "/roles", _list_roles),
        Route("GET", guild + "/members", _list_members),
        Route("PATCH", guild + "/members/@me", _rename_self),
        Route("GET", member, _get_member),
        Route("PUT", member + "/roles/{role_id}", _give_role),
        Route("DELETE", member + "/roles/{role_id}", _take_role),
    ]
