"""History, favourites, families and styles, on a real database."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import replace
from datetime import timedelta

import pytest

from db.admin.erasure import erase_user
from db.engine import Database
from db.stores.audit_log import Entry
from db.stores.errors import NoStylesError, TooManyStylesError, UnknownStyleError
from db.stores.favourites import FavouriteStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.styles import StyleStore
from generation.jobs.history import HistoryFilter
from generation.jobs.job import Job, Outcome, ReplyTo, Status
from generation.owner import Owner
from generation.requests.errors import StyleNameError
from generation.requests.style import MAX_STYLES, Style
from tests.db.kinds import on_both_long
from tests.db.some_jobs import NOW, a_job, all_of

pytestmark = on_both_long

ADA, BO = Owner(1, 100), Owner(1, 200)
HERE = ReplyTo(application_id=1, channel_id=2)


async def finished(
    database: Database,
    owner: Owner,
    prompt: str,
    *,
    minute: int,
    parent: str | None = None,
    reply_to: ReplyTo | None = HERE,
) -> Job:
    job = a_job(guild=owner.guild_id, user=owner.user_id, at=NOW + timedelta(minutes=minute))
    request = replace(job.request, spec=replace(job.request.spec, prompt=prompt), parent=parent)
    job = replace(job, request=request)
    jobs = JobStore(database)
    await jobs.accept(job, reply_to)
    for image in job.images:
        attempt = await jobs.claim(image.id)
        assert attempt is not None
        await jobs.settle(image.id, attempt, Outcome(status=Status.DONE, charged=1, file_sha256="ab" * 32))
    return job


async def test_a_page_is_newest_first_and_goes_on_where_the_last_one_ended(database: Database) -> None:
    jobs = [await finished(database, ADA, f"picture {n}", minute=n) for n in range(4)]
    await finished(database, BO, "theirs", minute=9)
    history = HistoryStore(database)
    first = await history.fetch_page(ADA, HistoryFilter(), limit=3)
    assert [job.id for job in first] == [job.id for job in reversed(jobs[1:])]
    rest = await history.fetch_page(ADA, HistoryFilter(), limit=3, before=first[-1].created_at)
    assert [job.id for job in rest] == [jobs[0].id]


async def test_words_are_found_in_any_order_and_case(database: Database) -> None:
    wanted = await finished(database, ADA, "ein GRÜNES Dreieck", minute=1)
    await finished(database, ADA, "ein grüner Kreis", minute=2)
    found = await HistoryStore(database).fetch_page(ADA, HistoryFilter(words="dreieck grünes"), limit=9)
    assert [job.id for job in found] == [wanted.id]


async def test_words_are_found_whatever_the_database_knows_of_their_letters(database: Database) -> None:
    """What the database leaves out holds none of the words: signs of its patterns, JSON's escapes, folded letters."""
    prompts = ["100% Sea_Shore", 'a "quoted" back\\slash', "Straße im ſturm", "海の灯台", "K am Ende", "ΛΑΜΠΑΣ"]
    jobs = {each: await finished(database, ADA, each, minute=n) for n, each in enumerate(prompts)}
    for words, prompt in (
        ("0% a_s", prompts[0]),
        ('"QUOTED"', prompts[1]),
        ("k\\s", prompts[1]),
        ("strasse STURM", prompts[2]),
        ("灯台", prompts[3]),
        ("k ende", prompts[4]),
        ("λαμπας", prompts[5]),
    ):
        found = await HistoryStore(database).fetch_page(ADA, HistoryFilter(words=words), limit=9)
        assert [job.id for job in found] == [jobs[prompt].id], words
    assert await HistoryStore(database).fetch_page(ADA, HistoryFilter(words="台灯"), limit=9) == []


def test_no_letter_folds_into_one_without_case() -> None:
    """So the database may look for those as they are."""
    folded = {each for number in range(sys.maxunicode + 1) for each in chr(number).casefold() if each != chr(number)}
    assert "s" in folded
    assert [each for each in folded if unicodedata.category(each) == "Lo"] == []


async def test_guilds_of_a_member_come_newest_first(database: Database) -> None:
    for minute, guild in enumerate((5, 3, 9, 3, -1)):
        await finished(database, Owner(guild, ADA.user_id), "a", minute=minute)
    await finished(database, Owner(7, BO.user_id), "theirs", minute=9)
    assert await HistoryStore(database).fetch_guilds(ADA.user_id) == [-1, 3, 9, 5]
    assert await HistoryStore(database).fetch_guilds(1) == []


async def test_the_last_in_a_channel_is_the_newest_with_pictures_there(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [await finished(database, ADA, "a", minute=minute) for minute in range(2)]
    there = await finished(database, ADA, "b", minute=5, reply_to=ReplyTo(application_id=1, channel_id=3))
    await finished(database, BO, "theirs", minute=6)
    history = HistoryStore(database)
    for channel, job in ((2, here[1]), (3, there)):
        last = await history.fetch_last(ADA, channel)
        assert last is not None and last.id == job.id
    assert await history.fetch_last(ADA, 4) is None
    monkeypatch.setattr("db.stores.history.NUM_LOOKED_AT", 1)
    assert await history.fetch_last(ADA, 2) is None


async def test_pictures_not_requested_on_discord_are_left_out(database: Database) -> None:
    await finished(database, ADA, "painted again for its file", minute=1, reply_to=None)
    assert await HistoryStore(database).fetch_page(ADA, HistoryFilter(), limit=9) == []


async def test_a_favourite_of_another_member_can_be_toggled(database: Database) -> None:
    theirs = await finished(database, BO, "theirs", minute=1)
    history, favourites = HistoryStore(database), FavouriteStore(database)
    assert await favourites.toggle_favourite(theirs.id, ADA.user_id)
    liked = await history.fetch_page(ADA, HistoryFilter(favourites=True), limit=9)
    assert [job.id for job in liked] == [theirs.id]
    assert await history.fetch_page(Owner(2, ADA.user_id), HistoryFilter(favourites=True), limit=9) == []
    assert not await favourites.toggle_favourite(theirs.id, ADA.user_id)
    assert await history.fetch_page(ADA, HistoryFilter(favourites=True), limit=9) == []


async def test_a_notification_is_stored_once_and_removed_when_sent(database: Database) -> None:
    job = await finished(database, ADA, "a", minute=1)
    favourites = FavouriteStore(database)
    assert await favourites.request_notification(job.id, BO.user_id)
    assert not await favourites.request_notification(job.id, BO.user_id)
    assert await favourites.fetch_notified(job.id) == [BO.user_id]
    await favourites.clear_notifications(job.id)
    assert await favourites.fetch_notified(job.id) == []


async def test_erasing_a_member_deletes_favourites_and_notifications(database: Database) -> None:
    theirs = await finished(database, BO, "theirs", minute=1)
    favourites = FavouriteStore(database)
    await favourites.toggle_favourite(theirs.id, ADA.user_id)
    await favourites.request_notification(theirs.id, ADA.user_id)
    await all_of(erase_user(database, ADA.user_id))
    assert await favourites.fetch_notified(theirs.id) == []
    assert await HistoryStore(database).fetch_page(ADA, HistoryFilter(favourites=True), limit=9) == []


async def test_a_family_is_followed_up_and_down(database: Database) -> None:
    first = await finished(database, ADA, "first", minute=1)
    second = await finished(database, BO, "second", minute=2, parent=f"{first.id}-0")
    third = await finished(database, ADA, "third", minute=3, parent=f"{second.id}-0")
    kin = await HistoryStore(database).fetch_kin(third)
    assert [(job.id, index) for job, index in kin.parents] == [(second.id, 0), (first.id, 0)]
    assert [job.id for job in (await HistoryStore(database).fetch_kin(first)).children] == [second.id]
    lost = await finished(database, ADA, "x", minute=4, parent="not an image id")
    assert (await HistoryStore(database).fetch_kin(lost)).parents == ()


ENTRY = Entry(1, "for a test")


async def test_styles_are_kept_by_guild_and_name(database: Database) -> None:
    styles = StyleStore(database)
    await styles.save(Style(guild_id=1, name="Ink", prompt="ink drawing of {prompt}", negative="colour"), ENTRY)
    await styles.save(Style(guild_id=1, name="ink", prompt="in ink"), ENTRY)
    await styles.save(Style(guild_id=2, name="Oil", prompt="in oil"), ENTRY)
    assert [style.prompt for style in await styles.fetch_all(1)] == ["in ink"]
    assert (await styles.fetch(2, "OIL")).prompt == "in oil"
    with pytest.raises(UnknownStyleError, match="ink"):
        await styles.fetch(1, "Oil")
    await styles.remove(1, "INK", ENTRY)
    with pytest.raises(NoStylesError):
        await styles.remove(1, "INK", ENTRY)


async def test_a_guild_has_only_so_many_styles(database: Database) -> None:
    styles = StyleStore(database)
    for n in range(MAX_STYLES):
        await styles.save(Style(guild_id=1, name=f"s{n}", prompt="x"), ENTRY)
    await styles.save(Style(guild_id=1, name="s0", prompt="y"), ENTRY)
    with pytest.raises(TooManyStylesError):
        await styles.save(Style(guild_id=1, name="one more", prompt="x"), ENTRY)


def test_a_style_goes_around_the_words_or_behind_them() -> None:
    inside = Style(guild_id=1, name="a", prompt="a poster of {prompt}, bold", negative="dull")
    assert inside.around("a fox", "blue") == ("a poster of a fox, bold", "blue, dull")
    behind = Style(guild_id=1, name="a", prompt="bold")
    assert behind.around("a fox", "") == ("a fox, bold", "")
    with pytest.raises(StyleNameError):
        Style(guild_id=1, name="<@1>", prompt="x")
