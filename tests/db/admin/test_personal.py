"""What `/privacy` counts."""

import pytest

from cogs.privacy._cog import MANY, build_summary
from db.admin import personal
from db.admin.personal import COUNTED, PersonalStore
from db.engine import Database
from db.stores.jobs import JobStore
from tests.db.kinds import on_both
from tests.db.some_jobs import NOW, USER, a_job, done


@on_both
async def test_pictures_are_counted_up_to_a_bound(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store, counts = JobStore(database), PersonalStore(database, clock=lambda: NOW)
    for number in range(4):
        job = a_job()
        await store.accept(job)
        if number < 3:
            await store.claim(job.images[0].id)
            await store.settle(job.images[0].id, 1, done(job))
    assert await counts.count(USER) == (4, 3)
    monkeypatch.setattr(personal, "COUNTED", 1)
    assert await counts.count(USER) == (4, 2), "one more than that says that there are more"


@pytest.mark.parametrize(("number", "said"), [(COUNTED, False), (COUNTED + 1, True)])
def test_more_are_said_to_be_more(number: int, said: bool) -> None:
    texts = [block for block in build_summary(0, number, number).blocks if isinstance(block, str)]
    assert any(MANY.format(pictures="10,000 pictures") in text for text in texts) is said
    assert any("10,000 pictures" in text for text in texts)
