"""Who reads what in which language: a person alone their own, a server the one it chose, also after a restart."""

from __future__ import annotations

from typing import Any

from cogs.help._messages import HELLO
from cogs.i18n.gettext import _, use_language
from cogs.recipe._messages import SETTINGS_LINE
from cogs.results._messages import AI_GENERATED, DONE, FAVOURITE, WAITING, WILL_TELL
from cogs.results._remix import NEGATIVE_LABEL
from cogs.settings._cog import CHANGED, CHOSEN
from cogs.settings._fields import LANGUAGE, PAGES
from cogs.settings._views import PANEL_TITLE
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.models.errors import SizeFormatError
from generation.translatable import Phrase
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

RED = "a red circle on a blue background"
DISCORD_TAKES = {"description_localizations": 100, "name_localizations": 32}


async def told(discord: Sandbox, asked: Interaction) -> str:
    """What only the person reads of the answer."""
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message.text


def is_said_in(language: str, template: str, text: str, **details: object) -> bool:
    with use_language(language):
        return is_said(template, text, **details)


def is_open_in_german(panel: Message, page: str) -> bool:
    return is_said_in("de", PANEL_TITLE, panel.text, page=Phrase(PAGES[page][0]))


def labels(message: Message) -> set[str]:
    return {button["label"] for button in message.buttons}


def localised(value: Any) -> list[tuple[str, str]]:
    """Everything that commands say of themselves in other languages: under which key, and what."""
    if isinstance(value, list):
        return [found for each in value for found in localised(each)]
    if not isinstance(value, dict):
        return []
    own = [(key, text) for key in DISCORD_TAKES for text in (value.get(key) or {}).values()]
    return own + [found for each in value.values() for found in localised(each)]


async def manager(discord: Sandbox, people: People, name: str, locale: str) -> ScriptedUser:
    member = people.guild.add_member(name, permissions=int(Permission.MANAGE_GUILD))
    return discord.act_as(member, people.general, locale=locale)


async def test_commands_say_themselves_in_every_language(discord: Sandbox, people: People, bot: LivingBot) -> None:
    assert bot.client.command_ids
    found = localised(discord.commands)
    english = {command["name"]: str(command["description"]) for command in discord.commands}
    with use_language("de"):
        assert ("description_localizations", _(english["imagine"])) in found
        assert ("name_localizations", _("Use as start image")) in found
    assert english["imagine"] not in [text for _key, text in found]
    assert all(len(text) <= 100 for _key, text in found)
    menus = [command for command in discord.commands if command["type"] == 3]
    assert menus
    assert all(len(text) <= 32 for menu in menus for _key, text in localised(menu))


async def test_one_server_two_languages(discord: Sandbox, people: People, bot: LivingBot) -> None:
    people.guild.locale = "it"  # a language that is not here
    ada = discord.act_as(people.ada.member, people.general, locale="de")
    bo, log = people.bo, people.guild.add_channel("log")
    kim, lee = await manager(discord, people, "kim", "de"), await manager(discord, people, "lee", "en-GB")

    # What one person reads is in their own language.
    assert is_said_in("de", HELLO, await told(discord, await ada.slash("help")))
    assert is_said_in("en", HELLO, await told(discord, await bo.slash("help")))
    for locale, language in (("es-ES", "es"), ("es-419", "es"), ("fr", "fr")):
        other = discord.act_as(bo.member, people.general, locale=locale)
        assert is_said_in(language, HELLO, await told(discord, await other.slash("help")))
    wrong = {"prompt": RED, "size": "large"}
    in_german, in_english = [await told(discord, await each.slash("imagine", **wrong)) for each in (ada, bo)]
    assert is_said(SizeFormatError, in_english, text="large")
    with use_language("de"):
        assert is_said(SizeFormatError, in_german, text="large")

    # What all read is in the server's, not the asker's: here English, as Italian is not there.
    shared = await until_done(discord, await ada.slash("imagine", prompt=RED, steps=2))
    assert is_said_in("en", AI_GENERATED, shared.text)
    assert "Reroll" in labels(shared)
    opened = await ada.click(shared, "Remix")
    assert opened.modal is not None
    assert is_said_in("de", NEGATIVE_LABEL, str(opened.modal))
    assert is_said_in("de", SETTINGS_LINE, await told(discord, await ada.click(shared, "Recipe")))
    assert is_said_in("en", SETTINGS_LINE, await told(discord, await bo.click(shared, "Recipe")))

    # A manager chooses German for everybody.
    panel = await until_shown(discord, await kim.slash("settings"))
    assert is_open_in_german(panel, "what")
    await kim.click(panel, "atelier-set:safety:open")
    await discord.wait_for(lambda: is_open_in_german(panel, "safety"))
    await kim.select(panel, "atelier-set:safety:log_channel_id", [log])
    await kim.select(panel, "atelier-set:safety:language", ["de"])
    await discord.wait_for(lambda: len(log.messages) == 2)
    chosen = Phrase(CHOSEN, title=Phrase(LANGUAGE.title), chosen="Deutsch")
    assert is_said_in("de", CHANGED, log.messages[-1].text, change=chosen)
    english = await until_shown(discord, await lee.slash("settings"))
    for who, there, page, language in ((lee, english, "what", "en"), (kim, panel, "safety", "de")):
        changes = await told(discord, await who.click(there, f"atelier-set:{page}:changes"))
        assert is_said_in(language, CHOSEN, changes.replace("\\", ""), title=Phrase(LANGUAGE.title), chosen="Deutsch")

    # From now on so are messages that all read, and they stay so after a restart.
    await bot.hold_painting()
    asked = await bo.slash("imagine", prompt=RED, steps=2, count=2)
    waiting = await until_shown(discord, asked)
    await discord.wait_for(lambda: is_said_in("de", WAITING, waiting.text) or "%" in waiting.text)
    assert labels(waiting) == {"Abbrechen", "Sag Bescheid"}
    assert is_said_in("en", WILL_TELL, await told(discord, await bo.click(waiting, "Sag Bescheid")))
    bot.go_on_painting()
    await bot.crash()
    await bot.start()
    done = await until_done(discord, asked)
    assert is_said_in("de", AI_GENERATED, done.text)
    assert {"V1", "Neu würfeln"} <= labels(done)
    rung = await discord.wait_for(
        lambda: [each for each in people.general.messages if is_said_in("de", DONE, each.text)]
    )
    assert f"<@{bo.user.id}>" in rung[0].text
    assert is_said_in("en", FAVOURITE, await told(discord, await bo.click(done, "Favorit")))

    registrations = [call for call in discord.journal.calls if call.method == "PUT" and "commands" in call.template]
    assert len(registrations) == 1, "the second start found them as they are, in every language"

    # In direct messages a person is alone.
    alone = discord.act_as(people.ada.user, locale="de")
    painted = await until_done(discord, await alone.slash("imagine", prompt=RED, steps=2))
    assert is_said_in("de", AI_GENERATED, painted.text)
