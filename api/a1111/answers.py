"""Writes what the web UI's clients read of a finished job."""

from __future__ import annotations

import base64
import json
from typing import Any

from api.a1111.schemas import Painted, Progress, ProgressState
from api.admission import Accepted
from api.pictures import Picture
from generation.images.metadata import format_parameters
from generation.scheduling.active_jobs import JobView


def encode(png: bytes) -> str:
    return base64.b64encode(png).decode()


def build_painted(
    accepted: Accepted, pictures: list[Picture], parameters: dict[str, Any], ignored: list[str]
) -> Painted:
    """Return the answer to txt2img and img2img."""
    is_sent = parameters.get("send_images") is not False
    info = _build_info(accepted, pictures) | {"ignored": ignored}
    return Painted(
        images=[encode(each.png) for each in pictures] if is_sent else [],
        parameters=parameters,
        info=json.dumps(info, ensure_ascii=False),
    )


def _build_info(accepted: Accepted, pictures: list[Picture]) -> dict[str, Any]:
    job, specs = accepted.job, [each.image.spec for each in pictures]
    first = specs[0]
    recipes = [each.image.recipe for each in pictures]
    width, height = first.result_size_px
    return {
        "prompt": first.written,
        "all_prompts": [each.written for each in specs],
        "negative_prompt": first.negative,
        "all_negative_prompts": [each.negative for each in specs],
        "seed": first.seed,
        "all_seeds": [each.seed for each in specs],
        "subseed": first.variation.seed if first.variation else -1,
        "subseed_strength": first.variation.strength if first.variation else 0,
        "width": width,
        "height": height,
        "sampler_name": first.sampler,
        "cfg_scale": first.guidance,
        "steps": first.steps,
        "batch_size": len(specs),
        "clip_skip": first.clip_skip,
        "denoising_strength": first.start.strength if first.start else None,
        "sd_model_name": first.model,
        "index_of_first_image": 0,
        "infotexts": [format_parameters(each) for each in recipes if each is not None],
        "styles": [],
        "job_timestamp": f"{job.created_at:%Y%m%d%H%M%S}",
        "job_id": job.id,
        "warnings": accepted.list_warnings(),
    }


def build_progress(view: JobView, num_jobs: int) -> Progress:
    """Return how far a job is that a request waits for."""
    job, steps = view.job, view.job.request.spec.steps
    done = sum(image.status.is_end for image in job.images)
    within = min(1.0, max(0.0, view.progress * len(job.images) - done))
    ahead = f"{view.images_ahead} images ahead" if view.images_ahead else None
    return Progress(
        progress=round(view.progress, 3),
        eta_relative=round(view.wait_s or 0.0, 1),
        state=ProgressState(
            job=job.id,
            job_count=num_jobs,
            job_timestamp=f"{job.created_at:%Y%m%d%H%M%S}",
            job_no=done,
            sampling_step=round(steps * within),
            sampling_steps=steps,
        ),
        current_image=encode(view.preview) if view.preview else None,
        textinfo=ahead,
    )
