"""Every command that is not for everybody, called straight over the wire by those who may not: refused, and no trace.

The walk is over what the bot registered with Discord, so a new command cannot be forgotten: it is refused to a plain
member, or somebody has written its name below.
"""

from __future__ import annotations

from typing import Any

from cogs.common.errors import NotAManagerError, NotAModeratorError, NotTheOperatorError
from discord_sandbox import Permission, Sandbox, ScriptedUser
from tests.scenarios.bot_harness import LivingBot, People
from tests.scenarios.every_command import answer_to, filled, registered, rows

FOR_EVERYBODY = {
    *(
        "about",
        "cancel",
        "compare",
        "control",
        "edit",
        "help",
        "history",
        "imagine",
        "img2img",
        "inpaint",
        "loras",
        "models",
    ),
    *("me show", "me set", "me reset"),
    *("privacy", "queue", "recipe", "reproduce", "style list", "defaults list", "list show", "upscale", "usage"),
    *("token create", "token list", "token revoke"),
}
WITHOUT_A_HINT = {"style add", "style remove", "defaults set", "defaults reset", "list add", "list remove"}
"""Discord hides groups as a whole, and everybody may look at the styles, defaults and lists."""
BESIDES: list[tuple[str, dict[str, Any]]] = [("settings", {"file": b"{}"}), ("usage", {"whose": "server"})]
"""Options that ask for more than the command without them."""


async def test_every_command_of_managers_moderators_and_operators_is_refused_to_others(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    def come(name: str, permission: Permission) -> ScriptedUser:
        return discord.act_as(people.guild.add_member(name, permissions=int(permission)), people.general)

    closest = {  # to whom each kind is nearest, and still not theirs
        str(NotAManagerError()): people.mo,
        str(NotAModeratorError()): come("gil", Permission.MANAGE_GUILD),
        str(NotTheOperatorError()): come("root", Permission.ADMINISTRATOR),
    }
    walked = [(name, filled(each, people)) for name, each in registered(discord.commands) if name not in FOR_EVERYBODY]
    assert len(walked) > 25
    before = rows(bot.data_dir)
    wrong: list[str] = []
    for name, options in [*walked, *BESIDES]:
        said = await answer_to(discord, await people.ada.forging.slash(name, **options))
        if said not in closest:
            wrong.append(f"/{name} said to a plain member: {said}")
        elif (again := await answer_to(discord, await closest[said].forging.slash(name, **options))) != said:
            wrong.append(f"/{name} said to {closest[said].user.username}: {again}")
    assert not wrong, "\n".join(wrong)
    assert rows(bot.data_dir) == before, "a refused command changes nothing"


async def test_discord_is_told_to_hide_them_too(discord: Sandbox, people: People, bot: LivingBot) -> None:
    hinted = {
        name for top in discord.commands if top.get("default_member_permissions") for name, _ in registered([top])
    }
    assert {name for name, _ in registered(discord.commands)} - FOR_EVERYBODY - WITHOUT_A_HINT == hinted
