"""Checks a request and builds its job, and checks a stored one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from msgspec import UnsetType

from generation.errors import AtelierError
from generation.jobs.job import Image, Job, new_job_id
from generation.models.catalog import Catalog
from generation.models.controls import require_controls
from generation.models.editing import require_references
from generation.models.ip_adapters import require_ip_adapter
from generation.models.samplers import require_sampler
from generation.models.sizes import require_enlargeable, require_size
from generation.owner import Owner
from generation.requests.cost import Work, image_cost
from generation.requests.errors import ClipSkipError
from generation.requests.prompt_addons import check_known
from generation.requests.recipe import require_trace
from generation.requests.spec import GenerationRequest
from generation.safety.visibility import FlaggedHandling
from generation.validation import check

log = logging.getLogger(__name__)


def build_job(
    request: GenerationRequest,
    owner: Owner,
    *,
    work_of: Callable[[str], Work],
    created_at: datetime,
    is_from_upload: bool,
    boost: float = 1.0,
    handling: FlaggedHandling = FlaggedHandling(),  # noqa: B008 - frozen
) -> Job:
    """Return a new job. `work_of`: the work of a model by its name, for the price of each image."""
    assert not request.is_undrawn, "its choices are drawn first"
    job_id = new_job_id()
    trace = request.replay.trace if request.replay else None
    alt = None if isinstance(request.alt, UnsetType) else request.alt
    images = tuple(
        Image(
            job_id=job_id, index=index, spec=spec, reserved=image_cost(spec, trace, work=work_of(spec.model)), alt=alt
        )
        for index, spec in enumerate(request.images())
    )
    return Job(
        id=job_id,
        owner=owner,
        request=request,
        created_at=created_at,
        images=images,
        boost=boost,
        is_from_upload=is_from_upload,
        handling=handling,
    )


def require_paintable(request: GenerationRequest, catalog: Catalog) -> None:
    """Raise `RefusedError` for what its models cannot paint. It depends on nothing that changes."""
    for spec in request.specs:
        model = catalog.get(spec.model)
        check_known(model, spec.adapters, spec.embeddings)
        if 0 < model.max_clip_skip < spec.clip_skip:
            raise ClipSkipError(most=model.max_clip_skip)
        if spec.control:
            require_controls(model.controls, catalog.controls, spec.controls, model=model.name)
        if spec.reference:
            require_references(model, catalog.models, spec.references)
        if spec.image_prompt:
            require_ip_adapter(model.ip_adapters, spec.image_prompt, model=model.name)
        if spec.upscale is None:
            require_size(model, spec.result_size_px)
            if request.replay is None:
                require_sampler(model, spec.sampler)
        else:
            require_enlargeable(spec, model)
    if request.replay is not None:
        require_trace(request.spec, request.replay.trace)


def is_paintable(job: Job, image: Image) -> bool:
    """Return whether a stored request, perhaps of another release, passes today's checks."""
    try:
        check(job.request)
        check(image.spec)
    except AtelierError as wrong:
        log.error("job=%s image=%s action=outdated reason=%s", job.id, image.id, wrong)
        return False
    return True
