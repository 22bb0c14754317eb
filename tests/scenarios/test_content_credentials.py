"""What is posted is signed; what is on disk is not; and a signed file is reproduced as any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cogs.results._messages import IDENTICAL
from discord_sandbox import Sandbox, Upload
from tests.messages import is_said

pytest.importorskip("c2pa", reason="the extra atelier[c2pa] is not installed: content credentials are not tested")

from generation.images.c2pa import Credentials, CredentialState
from generation.images.codec import decode_png
from generation.images.iptc import SourceType
from generation.images.verify import read_disclosure
from generation.requests.recipe import Recipe
from tests.certificates import make_chain
from tests.scenarios.bot_harness import LivingBot, People, until_done

RED = "a red circle on a blue background"


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    """The bot with a key to sign with."""
    chain = make_chain()
    credentials = Credentials(certificates=chain.certificates, key=chain.key)
    living = LivingBot(discord, tmp_path, blank_database, credentials=credentials)
    await living.start()
    yield living
    await living.stop()


async def test_posted_pictures_are_signed_and_stay_reproducible(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await people.ada.slash("imagine", prompt=RED, seed=7, steps=3)
    message, job = await until_done(discord, asked), await bot.ended(asked)
    posted = message.attachments[0].data
    disclosure = read_disclosure(posted)
    assert (disclosure.credentials, disclosure.source_type) == (CredentialState.VALID, SourceType.GENERATED)
    assert disclosure.is_sound
    assert job.images[0].file_sha256 is not None
    stored = bot.generation.files.get(job.images[0].file_sha256)
    assert stored is not None
    assert read_disclosure(stored).credentials is None
    assert decode_png(stored) == decode_png(posted)

    again = await people.bo.slash("reproduce", file=Upload("signed.png", posted))
    shown = await until_done(discord, again)
    assert is_said(IDENTICAL, shown.text)
    [image] = (await bot.ended(again)).images
    assert isinstance(image.recipe, Recipe)
    assert image.file_sha256 == job.images[0].file_sha256, "the file on disk is the same to the byte"
    assert shown.attachments[0].data != posted
    started = await people.ada.slash("imagine", prompt=RED, image=Upload("signed.png", posted), steps=3)
    composite = read_disclosure((await until_done(discord, started)).attachments[0].data)
    assert composite.source_type == SourceType.COMPOSITE
    assert composite.credentials is CredentialState.VALID
