"""Bodies of the web UI's API. What Atelier does not read stands in `model_extra`, and is named in the answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Words = Field("", max_length=4000)


class PaintBody(BaseModel):
    """What txt2img and img2img share. Clients send null for what they leave out."""

    model_config = ConfigDict(extra="allow")

    prompt: str | None = Words
    negative_prompt: str | None = Words
    styles: list[str] | None = None
    seed: int | None = -1
    subseed: int | None = -1
    subseed_strength: float | None = 0.0
    batch_size: int | None = 1
    n_iter: int | None = 1
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    sampler_name: str | None = Field(None, max_length=60)
    sampler_index: str | None = Field(None, max_length=60)
    """The older name of `sampler_name`."""
    scheduler: str | None = Field(None, max_length=60)
    restore_faces: bool | None = False
    tiling: bool | None = False
    override_settings: dict[str, Any] | None = None
    script_name: str | None = Field(None, max_length=200)
    alwayson_scripts: dict[str, Any] | None = None
    denoising_strength: float | None = None
    send_images: bool | None = True


class TextBody(PaintBody):
    """`POST /sdapi/v1/txt2img`."""

    enable_hr: bool | None = False
    hr_scale: float | None = 2.0
    hr_resize_x: int | None = 0
    hr_resize_y: int | None = 0
    hr_prompt: str | None = Words
    hr_checkpoint_name: str | None = Field(None, max_length=200)


class ImageBody(PaintBody):
    """`POST /sdapi/v1/img2img`. Pictures are base64, with or without `data:image/png;base64,` before it."""

    init_images: list[str] | None = None
    mask: str | None = None
    inpainting_mask_invert: int | None = 0
    resize_mode: int | None = 0


class ExtraBody(BaseModel):
    """`POST /sdapi/v1/extra-single-image`."""

    model_config = ConfigDict(extra="allow")

    image: str
    resize_mode: int | None = 0
    upscaling_resize: float | None = 2.0
    upscaler_1: str | None = Field(None, max_length=200)


class InfoBody(BaseModel):
    """`POST /sdapi/v1/png-info`."""

    image: str


class Painted(BaseModel):
    images: list[str]
    """Base64 of PNG files."""
    parameters: dict[str, Any]
    """The request as it was read."""
    info: str
    """JSON: seeds, settings, `infotexts`, `job_id`, and in `ignored` what of the request has no meaning here."""


class Extra(BaseModel):
    html_info: str = ""
    image: str


class PngInfo(BaseModel):
    info: str
    items: dict[str, Any]
    parameters: dict[str, Any]


class ProgressState(BaseModel):
    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = ""
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class Progress(BaseModel):
    progress: float = 0.0
    eta_relative: float = 0.0
    """Seconds."""
    state: ProgressState = ProgressState()
    current_image: str | None = None
    """Base64 of a JPEG, once one has passed the checker."""
    textinfo: str | None = None
