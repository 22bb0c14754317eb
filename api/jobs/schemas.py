"""Bodies of Atelier's own API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from generation.requests.image_prompt import USUAL_STRENGTH


class Start(BaseModel):
    """A picture to start from: one that comes with the request, or one of this key's own."""

    model_config = ConfigDict(extra="forbid")

    picture: str | None = None
    """Base64 of a PNG, JPEG or WebP."""
    job: str | None = Field(None, max_length=40)
    index: int = Field(0, ge=0)
    mask: str | None = None
    """Base64; what is white is painted again."""
    strength: float = 0.6


class ControlBody(BaseModel):
    """A picture to follow, as in `/control`."""

    model_config = ConfigDict(extra="forbid")

    picture: str
    """Base64 of a PNG, JPEG or WebP."""
    net: str | None = Field(None, max_length=200)
    preprocessor: str | None = Field(None, max_length=20)
    """`none`, `canny`, `lineart`, `softedge`, `invert`; `map:pose` and the like for a Union."""
    strength: float = 1.0
    begin: float = 0.0
    end: float = 1.0


class SeenPicture(BaseModel):
    """A picture to see: one that comes with the request, or one of this key's own."""

    model_config = ConfigDict(extra="forbid")

    picture: str | None = None
    """Base64 of a PNG, JPEG or WebP."""
    job: str | None = Field(None, max_length=40)
    index: int = Field(0, ge=0)


class Reference(SeenPicture):
    """A picture beside the words."""

    adapter: str | None = Field(None, max_length=200)
    """The IP-Adapter that looks at it; the model's first if left out."""
    strength: float = USUAL_STRENGTH


class JobBody(BaseModel):
    """What is to be painted. What is left out comes from the defaults of the member, the server and the model."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=4000)
    negative: str | None = Field(None, max_length=4000)
    model: str | None = Field(None, max_length=200)
    count: int | None = None
    size: str | None = Field(None, max_length=20)
    aspect: str | None = Field(None, max_length=20)
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = Field(None, max_length=60)
    lora: str | None = Field(None, max_length=500)
    clip_skip: int | None = None
    start: Start | None = None
    control: list[ControlBody] = []
    references: list[SeenPicture] | None = Field(None, min_length=1, max_length=4)
    """Pictures that the model edits as the prompt says; only a model that edits by instruction."""
    reference: Reference | None = None
    """A picture that an IP-Adapter looks at, beside the words."""


class ImageState(BaseModel):
    index: int
    status: str
    seed: int
    path: str | None = None
    """Where its file is, once it is done and may be shown."""
    error: str | None = None


class JobState(BaseModel):
    id: str
    status: str
    """waiting, running, done, withheld, cancelled or failed."""
    progress: float
    images_ahead: int | None = None
    wait_s: float | None = None
    prompt: str
    model: str
    images: list[ImageState]
    warnings: list[str] = []
    """Reasons of rules that only warn, in the answer to the request."""


class JobList(BaseModel):
    jobs: list[JobState]
    before: str | None = None
    """Ask with this for the next page; None on the last."""


class Recipes(BaseModel):
    recipes: list[dict[str, Any]]


class KeyState(BaseModel):
    name: str
    server: str | None
    """The id of the server; None for the operator's own."""
