"""Once `accept` has returned, the job is on disk, even if SIGKILL comes next."""

import os
import subprocess
import sys
from pathlib import Path

from db.admin.reconcile import reconcile
from db.engine import Database
from db.stores.jobs import JobStore
from db.stores.quotas import QuotaStore
from generation.jobs.job import Status
from tests.db.kinds import on_both_long
from tests.db.some_jobs import GUILD, NOW

pytestmark = on_both_long

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.db.some_jobs import a_job, a_reply
from db.engine import Database
from db.stores.jobs import JobStore

async def main(url, folder):
    database = await Database.open(url, Path(folder))
    jobs = JobStore(database)
    async def accept_for_ever(user):
        while True:
            job = a_job(user=user)
            await jobs.accept(job, a_reply())
            print(job.id, flush=True)  # as if the person had been told
            if user == 1:
                await jobs.claim(job.images[0].id)
    await asyncio.gather(*(accept_for_ever(user) for user in range(1, 6)))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_every_accepted_job_survives_sigkill(url: str, tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-c", PROGRAM, url, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as bot:
        assert bot.stdout is not None
        told = [bot.stdout.readline().strip() for _ in range(40)]
        bot.kill()
        told += [line.strip() for line in bot.stdout if line.endswith("\n")]

    async with await Database.open(url, tmp_path) as database:  # the lock died with its holder
        kept = await JobStore(database).fetch_unfinished()
        assert len(told) >= 40 and set(told) <= {job.id for job in kept}
        assert len(kept) <= len(told) + 5  # at most one each that was accepted but not yet told
        assert {image.status for job in kept for image in job.images} == {Status.WAITING}
        assert (await reconcile(database)).is_exact
        usage = await QuotaStore(database).fetch_guild_usage(GUILD, since=NOW)
        assert usage.num_images == len(kept)
