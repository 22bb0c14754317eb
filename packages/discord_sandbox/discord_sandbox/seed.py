"""The seeded world: two servers, users with different permissions, channels of every kind."""

from __future__ import annotations

from discord_sandbox.permissions import MODERATOR, Permission
from discord_sandbox.users import User
from discord_sandbox.world import World


def seed_world(world: World) -> None:
    """Add two guilds: Ada owns a busy one that Bo moderates, Kit owns a small one; and places without the bot."""
    ada = world.add_user("ada", global_name="Ada")
    kit = world.add_user("kit", global_name="Kit")
    _add_harbour(world, ada)
    _add_night_shift(world, kit)
    _add_places_without_the_bot(world, ada, kit)


def _add_harbour(world: World, ada: User) -> None:
    guild = world.add_guild("Harbour", owner=ada)
    admin = guild.add_role("Admin", Permission.ADMINISTRATOR, color=0xE91E63)
    moderator = guild.add_role("Moderator", MODERATOR, color=0x3498DB)
    regular = guild.add_role("Regular", 0, color=0x2ECC71)
    guild.members[ada.id].roles.append(admin)
    guild.add_member(world.add_user("bo", global_name="Bo"), roles=[moderator])
    guild.add_member(world.add_user("cleo", global_name="Cleo"), roles=[regular])
    guild.add_member(world.add_user("dev", global_name="Dev"))
    guild.add_member(world.get_or_add_user("kit"))
    general = guild.add_channel("general", topic="Say hello, try a command")
    guild.add_channel("gallery", topic="Show what you made")
    general.add_thread("weekend ideas")
    guild.add_channel("after-dark", nsfw=True, topic="What is not for everybody")
    guild.add_channel("announcements", topic="News; only the admins write here", is_read_only=True)
    guild.add_channel("no-bots", topic="Bots may read here but not write", is_bot_free=True)


def _add_night_shift(world: World, kit: User) -> None:
    guild = world.add_guild("Night Shift", owner=kit)
    guild.add_member(world.get_or_add_user("cleo"))
    guild.add_member(world.get_or_add_user("dev"))
    guild.add_channel("lobby", topic="A second server, with its own members and settings")
    guild.add_channel("studio")


def _add_places_without_the_bot(world: World, ada: User, kit: User) -> None:
    """Add a server and a group where only those have the bot who added it to their account."""
    guild = world.add_guild("Elsewhere", owner=kit, has_bot=False)
    guild.add_member(ada)
    guild.add_member(world.get_or_add_user("dev"))
    guild.add_channel("square", topic="A server that has not added the bot")
    world.add_group("Weekend crew", ada, kit, world.get_or_add_user("dev"))
