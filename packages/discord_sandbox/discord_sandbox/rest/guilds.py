"""Routes of guilds, their members and roles, and of the gateway's address."""

from __future__ import annotations

from discord_sandbox.effective_permissions import guild_permissions
from discord_sandbox.errors import MissingPermissionsError, UnknownMemberError, UnknownRoleError
from discord_sandbox.guilds import Guild, Member
from discord_sandbox.payloads import channel_json, guild_json, member_json, my_guild_json, role_json
from discord_sandbox.permissions import Permission
from discord_sandbox.rest.access import guild_of
from discord_sandbox.rest.call import NOTHING, Call, RestResponse, Route, snowflake
from discord_sandbox.users import Role


def _get_guild(call: Call) -> RestResponse:
    guild = guild_of(call)
    payload = guild_json(guild)
    if call.query.get("with_counts") in ("1", "true"):
        payload |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
    return RestResponse(200, payload)


def _my_guilds(call: Call) -> RestResponse:
    mine = sorted((g for g in call.services.world.guilds.values() if g.has_bot), key=lambda guild: guild.id)
    after = snowflake(call.query.get("after", "0"), "after")
    limit = int(call.query.get("limit", 200))
    return RestResponse(200, [my_guild_json(guild) for guild in mine if guild.id > after][:limit])


def _leave(call: Call) -> RestResponse:
    guild_of(call).kick_bot()
    return NOTHING


def _channels(call: Call) -> RestResponse:
    return RestResponse(200, [channel_json(c) for c in guild_of(call).channels.values() if not c.is_thread])


def _active_threads(call: Call) -> RestResponse:
    threads = [channel_json(c) for c in guild_of(call).channels.values() if c.is_thread]
    return RestResponse(200, {"threads": threads, "members": [], "has_more": False})


def _roles(call: Call) -> RestResponse:
    return RestResponse(200, [role_json(role) for role in guild_of(call).roles.values()])


def _member(call: Call) -> Member:
    found = guild_of(call).members.get(call.id("user_id"))
    if found is None:
        raise UnknownMemberError()
    return found


def _get_member(call: Call) -> RestResponse:
    return RestResponse(200, member_json(_member(call)))


def _list_members(call: Call) -> RestResponse:
    after = snowflake(call.query.get("after", "0"), "after")
    limit = int(call.query.get("limit", 1))
    members = sorted(guild_of(call).members.values(), key=lambda member: member.id)
    return RestResponse(200, [member_json(member) for member in members if member.id > after][:limit])


def _rename_self(call: Call) -> RestResponse:
    member = guild_of(call).bot_member
    if "nick" in call.object:
        member.nick = call.object["nick"] or None
        call.services.world.publish("member_update", guild=member.guild, member=member)
    return RestResponse(200, member_json(member))


def _role_of(call: Call, guild: Guild) -> Role:
    role = guild.roles.get(call.id("role_id"))
    if role is None:
        raise UnknownRoleError()
    if not guild_permissions(guild.bot_member) & Permission.MANAGE_ROLES:
        raise MissingPermissionsError()
    return role


def _give_role(call: Call) -> RestResponse:
    member = _member(call)
    member.add_role(_role_of(call, member.guild))
    return NOTHING


def _take_role(call: Call) -> RestResponse:
    member = _member(call)
    member.remove_role(_role_of(call, member.guild))
    return NOTHING


def _gateway(call: Call) -> RestResponse:
    return RestResponse(200, {"url": call.services.gateway.url})


def _gateway_bot(call: Call) -> RestResponse:
    used = call.services.gateway.num_identifies
    limit = {"total": 1000, "remaining": max(0, 1000 - used), "reset_after": 14_400_000, "max_concurrency": 16}
    return RestResponse(200, {"url": call.services.gateway.url, "shards": 1, "session_start_limit": limit})


def routes() -> list[Route]:
    guild = "/guilds/{guild_id}"
    member = guild + "/members/{user_id}"
    return [
        Route("GET", "/gateway", _gateway, needs_token=False),
        Route("GET", "/gateway/bot", _gateway_bot),
        Route("GET", "/users/@me/guilds", _my_guilds),
        Route("DELETE", "/users/@me/guilds/{guild_id}", _leave),
        Route("GET", guild, _get_guild),
        Route("GET", guild + "/channels", _channels),
        Route("GET", guild + "/threads/active", _active_threads),
        Route("GET", guild + "/roles", _roles),
        Route("GET", guild + "/members", _list_members),
        Route("PATCH", guild + "/members/@me", _rename_self),
        Route("GET", member, _get_member),
        Route("PUT", member + "/roles/{role_id}", _give_role),
        Route("DELETE", member + "/roles/{role_id}", _take_role),
    ]
