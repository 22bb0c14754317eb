"""Bodies of OpenAI's images API. What it has and a diffusion model has not is taken and ignored, or refused by name."""

from __future__ import annotations

from typing import Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MODEL = "default"
"""The name that stands for the model that paints where none is named."""
FOREIGN_MODELS = ("dall-e-", "gpt-image-", "chatgpt-image-")
"""What clients name by default: it stands for the same."""


class Asking(BaseModel):
    """What both kinds of request have. From `seed` on it is Atelier's own, in `extra_body` of OpenAI's client."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = Field(max_length=4000)
    model: str | None = Field(None, max_length=200)
    n: int | None = Field(None, ge=1, le=10)
    size: str | None = Field(None, max_length=20)
    response_format: str | None = Field(None, max_length=20)
    output_format: str | None = Field(None, max_length=20)
    background: str | None = Field(None, max_length=20)
    stream: bool | None = None
    seed: int | None = None
    negative_prompt: str | None = Field(None, max_length=4000)
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = Field(None, max_length=60)
    lora: str | None = Field(None, max_length=500)
    clip_skip: int | None = None


class GenerateBody(Asking):
    """`POST /v1/images/generations`."""


class EditForm(Asking):
    """`POST /v1/images/edits`, as a form. `image` and `image[]` are the same."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    image: list[UploadFile] = []
    images: list[UploadFile] = Field([], alias="image[]")
    mask: UploadFile | None = None
    strength: float | None = None
    """How much may change, 0.05 to 1; Atelier's own. With it a picture is painted over, by any model."""


class ImageData(BaseModel):
    b64_json: str
    revised_prompt: str | None = None


class Images(BaseModel):
    created: int
    data: list[ImageData]
    output_format: Literal["png"] = "png"
    size: str
    job_id: str
    """The job in `/history`, and at /api/v1/jobs."""
    seeds: list[int]
    warnings: list[str] = []
    """Reasons of rules that only warn."""


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "atelier"


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]
