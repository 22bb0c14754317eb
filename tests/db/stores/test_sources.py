"""An upload belongs to its uploader, and is deleted with the last of their pictures that starts from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from db.admin.erasure import erase_guild, erase_user
from db.admin.retention import RetentionStore
from db.engine import Database
from db.models import RemovedGuildRow
from db.stores.favourites import FavouriteStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.settings import SettingsStore
from generation.jobs.job import Job, Outcome, Source, Status
from generation.owner import DM_TENANT, Owner
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.edits import StartImage
from generation.requests.spec import ImageSpec
from tests.db.admin.test_stray_files import Folder
from tests.db.kinds import on_both_long
from tests.db.some_jobs import GUILD, NOW, USER, a_job, a_recipe, a_spec, all_of, done, ended
from tests.stored import delete_job

pytestmark = on_both_long

OTHER = USER + 1
UPLOAD, MASK, PICTURE = "a" * 64, "b" * 64, "c" * 64
ADA, BO = Owner(GUILD, USER), Owner(GUILD, OTHER)


def starting(sha256: str = UPLOAD, mask: str | None = None) -> ImageSpec:
    return a_spec(start=StartImage(sha256=sha256, strength=0.5, mask_sha256=mask))


async def made(
    database: Database,
    owner: Owner = ADA,
    *,
    file: str = PICTURE,
    attached: bool = True,
    spec: ImageSpec | None = None,
    outcome: Callable[[Job], Outcome] | None = None,
    days_ago: int = 0,
    is_from_upload: bool = True,
) -> Job:
    """Create an ended picture of an upload, by default a finished one."""
    job = a_job(guild=owner.guild_id, user=owner.user_id, spec=spec or starting())
    store = JobStore(database, clock=lambda: NOW - timedelta(days=days_ago))
    files = job.request.spec.files if attached else ()
    await store.accept(replace(job, is_from_upload=is_from_upload), attached=files)
    await store.settle(job.images[0].id, 0, outcome(job) if outcome else done(job, file=file))
    return job


async def usable(database: Database, owner: Owner, sha256: str = UPLOAD) -> bool:
    return (await JobStore(database).fetch_sources([sha256], owner)).get(sha256, Source()).is_usable


async def test_uploads_belong_to_members_and_pictures_to_servers(database: Database) -> None:
    await made(database)
    await made(database, BO, attached=False, file="d" * 64)  # a reproduction
    assert await JobStore(database).fetch_sources([UPLOAD, PICTURE, MASK], ADA) == {
        UPLOAD: Source(is_usable=True, is_upload=True),
        PICTURE: Source(is_usable=True),
    }
    assert [await usable(database, BO, each) for each in (UPLOAD, PICTURE)] == [False, True]
    elsewhere = Owner(GUILD + 1, OTHER)
    assert [await usable(database, elsewhere, each) for each in (UPLOAD, PICTURE)] == [False, False]
    await made(database, BO, file="e" * 64)
    assert await usable(database, BO), "the second who attaches the same bytes has a right of their own"


async def test_a_picture_in_direct_messages_is_usable_by_its_owner_alone(database: Database) -> None:
    mine, yours = Owner(DM_TENANT, USER), Owner(DM_TENANT, OTHER)
    job = await made(database, mine)
    assert [await usable(database, each, PICTURE) for each in (mine, yours)] == [True, False]
    recipe = a_recipe(job.images[0].spec)
    for owner, expected in ((mine, True), (yours, False)):
        kept = await JobStore(database).keeps(recipe.spec, recipe.trace, recipe.pixels_sha256, owner)
        assert kept is expected


async def test_a_picture_from_words_is_not_from_an_upload(database: Database) -> None:
    await made(database, spec=a_spec(), attached=False, is_from_upload=False)
    assert await JobStore(database).fetch_sources([PICTURE], BO) == {
        PICTURE: Source(is_usable=True, is_from_upload=False)
    }


async def test_only_exact_recipes_of_existing_pictures_count_as_ours(database: Database) -> None:
    job, store = await made(database), JobStore(database)
    recipe = a_recipe(job.images[0].spec)

    async def keeps(owner: Owner, **changes: object) -> bool:
        asked = {"spec": recipe.spec, "trace": recipe.trace, "pixels_sha256": recipe.pixels_sha256} | changes
        return await store.keeps(**asked, owner=owner)  # type: ignore[arg-type]

    assert await keeps(BO)
    assert not await keeps(Owner(GUILD + 1, USER))
    assert recipe.spec.start is not None
    forged = replace(recipe.spec, start=replace(recipe.spec.start, strength=0.05))
    for changes in ({"spec": forged}, {"trace": "8x9"}, {"pixels_sha256": "x" * 64}):
        assert not await keeps(BO, **changes)
    await made(database, BO, attached=False, file="d" * 64)  # a reproduction
    await made(database, spec=replace(starting(), seed=8), file="e" * 64)  # holds the upload
    await store.forget_pictures(job.id)
    assert not await keeps(BO), "what others reproduced does not outlive the picture"
    assert await usable(database, ADA)


async def test_an_upload_goes_with_the_last_picture_of_its_uploader(database: Database) -> None:
    first = await made(database, spec=starting(mask=MASK))
    second = await made(database, file="d" * 64, attached=False)
    await made(database, BO, file="e" * 64, attached=False)
    store = JobStore(database)
    assert await store.forget_pictures(first.id) == [MASK, PICTURE]
    assert await usable(database, ADA)
    assert await store.forget_pictures(second.id) == [UPLOAD, "d" * 64]
    assert not await usable(database, ADA), "what another member reproduced does not hold it"


async def test_an_upload_of_two_goes_with_the_pictures_of_both(database: Database) -> None:
    mine = await made(database)
    yours = await made(database, BO, file="d" * 64)
    store = JobStore(database)
    assert await store.forget_pictures(mine.id) == [PICTURE]
    assert [await usable(database, each) for each in (ADA, BO)] == [False, True]
    assert await store.forget_pictures(yours.id) == [UPLOAD, "d" * 64]


async def test_a_picture_to_be_made_holds_its_upload(database: Database) -> None:
    job, waiting, store = await made(database), a_job(spec=starting()), JobStore(database)
    await store.accept(waiting)
    assert await store.forget_pictures(job.id) == [PICTURE]
    assert await usable(database, ADA)


async def _purged(database: Database, job: Job) -> set[str]:
    store = ModerationStore(database, clock=lambda: NOW)
    return {file async for _, gone in store.purge(GUILD, USER, by=OTHER, said=str) for file in gone}


async def _erased(database: Database, job: Job) -> set[str]:
    return set(await all_of(erase_user(database, USER)))


async def _departed(database: Database, job: Job) -> set[str]:
    await database.write(lambda session: session.add(RemovedGuildRow(guild_id=GUILD, since=NOW)))
    return set(await all_of(erase_guild(database, GUILD)))


async def _deleted(database: Database, job: Job) -> set[str]:
    return set(await delete_job(database, job.id))


async def _forgotten(database: Database, job: Job) -> set[str]:
    return set(await JobStore(database).forget_pictures(job.id))


@pytest.mark.parametrize("end", [_purged, _erased, _departed, _deleted, _forgotten])
async def test_deleting_the_pictures_deletes_the_upload(
    database: Database, end: Callable[[Database, Job], object]
) -> None:
    await made(database, Owner(GUILD + 1, OTHER), attached=False, file="d" * 64)  # of the time before this rule
    job = await made(database, spec=starting(mask=MASK))
    assert await end(database, job) == {UPLOAD, MASK, PICTURE}  # type: ignore[misc]
    assert await JobStore(database).fetch_sources([UPLOAD, MASK], ADA) == {}


async def test_an_upload_in_another_server_stays_when_one_departs(database: Database) -> None:
    await made(database, Owner(GUILD + 1, USER), file="d" * 64)
    job = await made(database)
    assert await _departed(database, job) == {PICTURE}
    assert await usable(database, ADA)


async def expired(database: Database, *, at: datetime = NOW) -> frozenset[str]:
    """Return the expired files of all that these tests put on disk."""
    store = RetentionStore(database)
    pictures = await store.fetch_expired([letter * 64 for letter in "abcdef"], now=at)
    return pictures | await all_of(store.drop_uploads(now=at))


async def test_retention_takes_uploads_with_the_pictures(database: Database) -> None:
    thirty_days = GuildSettings(guild_id=GUILD, choices=GuildPreferences(retention_days=30))
    await SettingsStore(database).change(GUILD, lambda _old: thirty_days)
    old = await made(database, days_ago=31)
    young = await made(database, file="d" * 64, days_ago=29)
    assert await expired(database) == {PICTURE}
    assert await usable(database, ADA)
    await FavouriteStore(database, clock=lambda: NOW).toggle_favourite(old.id, OTHER)
    late = NOW + timedelta(days=2)
    assert await expired(database, at=late) == {"d" * 64}
    assert await usable(database, ADA), "a favourite stays, and what it starts from"
    await FavouriteStore(database, clock=lambda: NOW).toggle_favourite(old.id, OTHER)
    assert UPLOAD in await expired(database, at=late)
    assert not await usable(database, ADA)
    assert UPLOAD not in await expired(database, at=late), "once is enough"
    assert (await JobStore(database).fetch_job(young.id)).images[0].recipe is not None


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.WITHHELD])
async def test_a_failed_picture_keeps_its_upload_for_a_day(database: Database, status: Status) -> None:
    await made(database, outcome=lambda job: ended(status))
    assert await expired(database, at=NOW + timedelta(hours=23)) == frozenset()
    assert await usable(database, ADA)
    assert await expired(database, at=NOW + timedelta(hours=25)) == {UPLOAD}
    assert not await usable(database, ADA)


async def test_uploads_are_not_stray_files(database: Database, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "pictures")
    upload = folder.put("upload")
    await made(database, spec=starting(upload), file=folder.put("picture"))
    assert await RetentionStore(database).fetch_strays(folder.there()) == frozenset()
    await database.write(lambda session: session.connection().exec_driver_sql("DELETE FROM uploads") and None)
    assert await RetentionStore(database).fetch_strays(folder.there()) == {upload}
