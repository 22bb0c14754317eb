"""Erasing a member leaves nothing of them in any table or byte of the files, and the ledger still adds up."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.address import file_of
from db.admin.erasure import erase_user
from db.admin.reconcile import reconcile
from db.column_types import OnErase
from db.engine import Database
from db.models import Base
from db.stores.jobs import JobStore
from db.stores.quotas import QuotaStore
from generation.errors import UnknownJobError
from generation.jobs.job import Job
from generation.owner import Owner
from generation.policy.quota import Quota, Scope, Unit, Usage
from generation.requests.edits import StartImage, Upscale
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, NOW, PROMPT, USER, a_job, a_reply, a_spec, all_of, done
from tests.stored import delete_job, fetch_jobs, fetch_usage

pytestmark = on_both

OTHER = USER + 1


async def live(database: Database, user: int, *, prompt: str) -> list[str]:
    """Create one finished, one running and one waiting job, and a quota: all that a member can leave behind."""
    jobs = JobStore(database)
    made, running, waiting = (a_job(user=user, count=2, spec=a_spec(prompt=prompt)) for _ in range(3))
    for job in (made, running, waiting):
        await jobs.accept(job, a_reply())
    for index in range(2):
        await jobs.claim(made.images[index].id)
        await jobs.settle(made.images[index].id, 1, done(made, index, file=f"{user}-{index}"))
    await jobs.claim(running.images[0].id)
    await QuotaStore(database).set_quota(GUILD, Quota(scope=Scope.USER, subject_id=user, unit=Unit.IMAGES, limit=50))
    return [made.id, running.id, waiting.id]


async def rows(database: Database) -> dict[str, list[dict[str, object]]]:
    def read(session: Session) -> Any:
        return {
            name: sorted((dict(row._mapping) for row in session.execute(text(f"SELECT * FROM {name}"))), key=str)
            for name in Base.metadata.tables
        }

    return await database.read(read)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("atelier.db*"))


def traces(user: int, prompt: str) -> list[bytes]:
    return [str(user).encode(), user.to_bytes(8, "big"), prompt.encode()]


async def test_an_erased_member_is_in_no_row_and_no_byte(database: Database, tmp_path: Path) -> None:
    await live(database, OTHER, prompt="of another member")
    others = await rows(database)
    await live(database, USER, prompt=PROMPT)
    is_file = file_of(database.url) is not None  # a server overwrites nothing: docs/privacy.md
    for trace in traces(USER, PROMPT):
        assert not is_file or trace in bytes_of(tmp_path), "the search below would find nothing anyway"

    files = await all_of(erase_user(database, USER))
    assert files == {f"{USER}-0", f"{USER}-1"}
    for trace in traces(USER, PROMPT):
        assert trace not in bytes_of(tmp_path)
    for trace in traces(OTHER, "of another member"):
        assert not is_file or trace in bytes_of(tmp_path)
    assert (await reconcile(database)).is_exact

    after = await rows(database)
    for name, table in Base.metadata.tables.items():
        if any(column.info["on_erase"] is OnErase.DELETED for column in table.columns):
            assert after[name] == others[name], f"{name} says its rows are deleted"
    used = sum(job.reserved for job in a_job(count=2).images)
    assert await fetch_usage(database, Owner(GUILD, USER), since=NOW) == Usage()
    guild = await QuotaStore(database).fetch_guild_usage(GUILD, since=NOW)
    assert guild == Usage(num_images=2 + 6, reserved=2 * used, used=2 * used)


async def test_results_of_an_erased_job_are_dropped(database: Database) -> None:
    job = a_job()
    await JobStore(database).accept(job)
    await JobStore(database).claim(job.images[0].id)
    await all_of(erase_user(database, USER))
    assert not await JobStore(database).settle(job.images[0].id, 1, done(job))
    assert await fetch_jobs(JobStore(database), job.owner) == []


async def test_an_unknown_member_can_be_erased(database: Database) -> None:
    assert await all_of(erase_user(database, 42)) == frozenset()


async def test_a_deletion_returns_the_files_of_the_job(database: Database) -> None:
    made, running, waiting = await live(database, USER, prompt=PROMPT)
    assert await delete_job(database, made) == {f"{USER}-0", f"{USER}-1"}
    assert await delete_job(database, running) == frozenset()
    with pytest.raises(UnknownJobError):
        await JobStore(database).fetch_job(made)
    assert [job.id for job in await JobStore(database).fetch_unfinished()] == [waiting]
    assert (await reconcile(database)).is_exact
    assert await delete_job(database, "nothing") == frozenset()


async def test_a_file_still_in_use_is_not_returned_for_deletion(database: Database) -> None:
    jobs = JobStore(database)
    same = [a_job() for _ in range(2)]  # the same picture twice: one file
    enlarging = a_job(user=OTHER, spec=a_spec(upscale=Upscale(sha256="shared")))
    own_start = a_job(spec=a_spec(start=StartImage(sha256="own start", strength=0.5, mask_sha256="own mask")))
    for job in (*same, enlarging, own_start):
        await jobs.accept(job)
    for job in same:
        await jobs.settle(job.images[0].id, 0, done(job, file="shared"))
    assert await delete_job(database, same[0].id) == frozenset()
    assert await delete_job(database, same[1].id) == frozenset()
    assert await delete_job(database, enlarging.id) == {"shared"}
    assert await delete_job(database, own_start.id) == {"own start", "own mask"}


async def started_from(
    database: Database, user: int, *, minutes: int, attached: Collection[str] = (), **files: str
) -> Job:
    """Create a finished picture from an upload and from the other named files."""
    start = StartImage(**{"sha256": "upload", "strength": 0.5, **files})  # type: ignore[arg-type]
    job = a_job(user=user, at=NOW + timedelta(minutes=minutes), spec=a_spec(start=start))
    await JobStore(database).accept(job, attached=attached)
    await JobStore(database).settle(job.images[0].id, 0, done(job, file=f"of {user} at {minutes}"))
    return job


async def test_erasing_a_reproducer_keeps_the_upload(database: Database) -> None:
    await started_from(database, OTHER, minutes=0, attached={"upload", "mask"}, mask_sha256="mask")
    again = await started_from(database, USER, minutes=1, mask_sha256="mask")
    await started_from(database, USER, minutes=2, attached={"own mask"}, mask_sha256="own mask")
    assert await delete_job(database, again.id) == {f"of {USER} at 1"}
    assert await all_of(erase_user(database, USER)) == {f"of {USER} at 2", "own mask"}
    assert await all_of(erase_user(database, OTHER)) == {f"of {OTHER} at 0", "upload", "mask"}


async def test_erasing_an_uploader_deletes_the_upload_despite_reproductions(database: Database) -> None:
    await started_from(database, OTHER, minutes=0, attached={"upload"})
    await started_from(database, OTHER, minutes=2)
    await started_from(database, USER, minutes=1)
    assert "upload" in await all_of(erase_user(database, OTHER))
    assert await JobStore(database).fetch_painted(f"of {USER} at 1") is not None


async def test_erasing_an_owner_deletes_a_picture_others_upscaled(
    database: Database,
) -> None:
    made = a_job(user=OTHER, at=NOW)
    await JobStore(database).accept(made)
    await JobStore(database).settle(made.images[0].id, 0, done(made, file="painted"))
    await started_from(database, USER, minutes=1, sha256="painted")
    await started_from(database, OTHER, minutes=2, sha256="painted")
    assert "painted" in await all_of(erase_user(database, OTHER))
