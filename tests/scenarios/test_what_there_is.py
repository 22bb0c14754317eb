"""/models and /loras over the wire: what members may paint with here, within what a message holds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from cogs.common.message_limits import PAGE_OF
from cogs.common.model_lines import NO_LICENCE
from cogs.i18n.gettext import use_language
from cogs.models._messages import NONE_ADDED, RESTRICTED_ONLY, UNUSABLE
from discord_sandbox import Message, ScriptedUser
from generation.images.codec import encode_png
from generation.models.catalog import Catalog
from generation.models.registry import Preview, PreviewScore
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.prompt_addons import PromptAddon
from generation.safety.checker_trust import SHARED
from generation.safety.visibility import SafetyLevel
from tests.messages import is_said
from tests.scenarios.bad_input_harness import Harness
from tests.scenarios.bot_harness import until_shown

pytestmark = pytest.mark.asyncio(loop_scope="module")
THUMBNAIL = 11
"""Discord's number of that kind of component."""
PAGE = "https://civitai.com/models/1?modelVersionId=2"


async def shown(harness: Harness, command: str) -> Message:
    message = await until_shown(harness.discord, await harness.people.ada.slash(command))
    assert message.is_ephemeral
    return message


def plain(message: Message) -> str:
    return message.text.replace("\u00a0", " ")


async def test_members_read_which_lora_there_are_and_which_models_they_fit(harness: Harness) -> None:
    generation = harness.bot.generation
    kept = generation.catalog
    glow = PromptAddon(
        name="glow_v2",
        path=kept.default.path,
        sha256="a" * 64,
        licence="*CC0*",
        base_model="SD 1.5",
        trigger_words=("neon glow", "@everyone"),
        page=PAGE,
    )
    word = PromptAddon(name="EasyNegative", path=kept.default.path, sha256="b" * 64, context_width=2048)
    models = tuple(
        replace(kept.default, name=name, loras=(*kept.default.loras, glow), embeddings=(word,), context_width=width)
        for name, width in (("paintbox", kept.default.context_width), ("big", 2048))
    )
    try:
        generation.catalog = Catalog(models)
        text = plain(await shown(harness, "loras"))
        for line in (
            "**neon**\n-# paintbox · MIT · fits paintbox\n",
            "**wide**\n-# Stable Diffusion XL · fits big\n",
            f"**glow\\_v2**: neon glow, \\@everyone\n-# SD 1\\.5 · \\*CC0\\* · fits every model · <{PAGE}>",
            "**EasyNegative**\n-# Stable Diffusion XL · fits big",
        ):
            assert line in text, text
        assert text.index("**neon**") < text.index("**glow") < text.index("**wide**"), "those that fit come first"
        chosen = GuildPreferences(models=("big",), default_model="big")
        await harness.bot.choose(GuildSettings(guild_id=harness.people.guild.id, choices=chosen))
        text = plain(await shown(harness, "loras"))
        assert "fits no model here" in text and "paintbox\\." not in text
        assert "**paintbox**" not in plain(await shown(harness, "models"))
    finally:
        generation.catalog = kept
        await harness.bot.choose(GuildSettings(guild_id=harness.people.guild.id, choices=GuildPreferences()))


async def test_a_preview_stands_beside_its_text_only_where_it_may_be_seen(harness: Harness, tmp_path: Path) -> None:
    generation, people = harness.bot.generation, harness.people
    kept, data = generation.catalog, encode_png(bytes(160 * 160 * 3), (160, 160))
    sha256 = hashlib.sha256(data).hexdigest()
    (file := tmp_path / "kept.png").write_bytes(data)

    def offer(path: Path = file, **values: float) -> None:
        scores = {name: PreviewScore(value=values.get(name, 0.1)) for name in SHARED}
        preview = path, Preview(sha256=sha256, scores=scores)
        generation.catalog = Catalog(kept.models, {}, {"neon": preview, "paintbox": preview})

    async def seen(who: ScriptedUser, level: SafetyLevel, command: str = "loras") -> list[bool]:
        await harness.bot.choose(GuildSettings(guild_id=people.guild.id, safety=level))
        message = await until_shown(harness.discord, await who.slash(command))
        assert (message.is_ephemeral and "**neon**" in message.text) or command == "models"
        shown = [each for each in message.list_components() if each["type"] == THUMBNAIL]
        assert len(message.attachments) == len(shown)
        return [bool(each.get("spoiler")) for each in shown]

    ada = people.ada
    den = harness.discord.act_as(people.guild.members[ada.user.id], people.guild.add_channel("den", nsfw=True))
    try:
        offer()
        assert await seen(ada, SafetyLevel.BLOCK) == [False]
        assert await seen(ada, SafetyLevel.BLOCK, "models") == [False]
        offer(porn=0.99)
        assert await seen(ada, SafetyLevel.BLOCK) == [] == await seen(den, SafetyLevel.BLOCK)
        assert await seen(ada, SafetyLevel.BLUR) == [True]
        assert await seen(ada, SafetyLevel.OFF) == []
        assert await seen(den, SafetyLevel.OFF) == [False]
        assert await seen(den, SafetyLevel.OFF, "models") == [False]
        offer(tmp_path / "gone.png")
        assert await seen(ada, SafetyLevel.BLOCK) == []
        file.write_bytes(encode_png(bytes(3), (1, 1)))
        offer()
        assert await seen(ada, SafetyLevel.BLOCK) == [], "another picture than the one that was looked at"
    finally:
        generation.catalog = kept
        await harness.bot.choose(GuildSettings(guild_id=people.guild.id))


async def test_members_read_what_each_model_does(harness: Harness) -> None:
    generation = harness.bot.generation
    kept = generation.catalog
    inpainting = replace(kept.default, name="filler", is_inpainting=True, max_clip_skip=0, context_width=768, page=PAGE)
    unsafe = replace(kept.default, name="bare", safety_checker=None, base_model="SD 1.5", licence="")
    try:
        generation.catalog = Catalog((kept.default, inpainting, unsafe), {"bare": "/srv/models/secret is not there."})
        generation.checks_safety = False
        text = plain(await shown(harness, "models"))
    finally:
        generation.catalog, generation.checks_safety = kept, True
    own = "-# 128 × 128 · 20 steps · guidance 3.5 · DPM++ 2M Karras\n-# One picture costs about 1.3 standard steps.\n"
    assert f"**paintbox** · MIT · 19 MB\n{own}-# clip skip up to 2 · 1 LoRA fits\n**filler**" in text, text
    assert f"· <{PAGE}>\n{own}-# made for inpainting\n" in text, text
    assert f"**bare** · SD 1\\.5 · {NO_LICENCE}" in text
    assert is_said(UNUSABLE, text) and "secret" not in text, "members read no paths"
    assert is_said(RESTRICTED_ONLY, text)


async def test_many_lora_are_shown_by_pages_in_german_too(harness: Harness) -> None:
    generation, ada = harness.bot.generation, harness.people.ada
    kept = generation.catalog
    many = tuple(
        PromptAddon(name=f"lora-{number:03}", path=kept.default.path, sha256="a" * 64, trigger_words=("word",) * 8)
        for number in range(150)
    )
    try:
        generation.catalog = Catalog((replace(kept.default, loras=many),))
        message = await shown(harness, "loras")
        texts = [message.text]
        while "Next" in [button["label"] for button in message.buttons]:
            number = len(texts) + 1
            await ada.click(message, "Next")
            await harness.discord.wait_for(lambda number=number: is_said(PAGE_OF, message.text, number=number))
            texts.append(message.text)
        assert len(texts) > 2
        for extra in many:
            assert sum(f"**{extra.name}**".replace("-", "\\-") in text for text in texts) == 1
        generation.catalog = Catalog((replace(kept.default, loras=()),))
        assert is_said(NONE_ADDED, (await shown(harness, "loras")).text)
        bea = replace(ada, locale="de")
        german = (await until_shown(harness.discord, await bea.slash("loras"))).text
        with use_language("de"):
            assert is_said(NONE_ADDED, german)
        assert "Schreib einen Namen" in german
    finally:
        generation.catalog = kept
