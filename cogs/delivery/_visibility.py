"""What of a job may be shown where its result is about to be read: the channel may have changed meanwhile."""

from __future__ import annotations

import logging

from cogs.common.picture_visibility import fetch_channel
from cogs.common.policy_checks import build_place
from cogs.context import BaseBot
from cogs.services import Services
from generation.admission.gate import fetch_visibility
from generation.images.cleanup import remove_files
from generation.jobs.job import Image, Job, ReplyTo, Status
from generation.owner import is_server
from generation.policy.policy import ChannelContext
from generation.safety.visibility import Shown

log = logging.getLogger(__name__)


async def recheck_visibility(
    client: BaseBot, services: Services, job: Job, reply_to: ReplyTo
) -> tuple[Job, ChannelContext]:
    """Return the job without what may no longer be shown, and the channel in which its result will be read.

    Withholding cannot be undone, so only a known channel decides it. In an unknown channel, what may not be shown
    everywhere is left out of the message and stays in the history.
    """
    is_dm = not is_server(job.owner.guild_id)
    place = ChannelContext(channel_ids=(reply_to.channel_id,), is_dm=is_dm)
    if not is_dm and await _find_hidden(services, place, job):
        channel = await fetch_channel(client, reply_to.channel_id)
        if channel is None:
            return job, place
        place = build_place(channel, channel_id=reply_to.channel_id, is_dm=is_dm)
    return await _withhold_hidden(services, job, place), place


async def _find_hidden(services: Services, place: ChannelContext, job: Job) -> list[Image]:
    """Return the finished pictures that may not be shown there."""
    shown = await fetch_visibility(job, services, place)
    return [image for image in job.images if image.status is Status.DONE and shown[image.index] is Shown.NOT]


async def _withhold_hidden(services: Services, job: Job, place: ChannelContext) -> Job:
    """Refund what may no longer be shown where it was asked for, and delete its file, before it is posted."""
    withheld = await _find_hidden(services, place, job)
    if not withheld:
        return job
    for image in withheld:
        await remove_files(services.generation.files, await services.jobs.withhold(image.id))
        log.info("image=%s action=withheld-at-delivery", image.id)
    return await services.jobs.fetch_job(job.id)
