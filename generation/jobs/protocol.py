"""The protocol between bot and worker: commands one way, events the other. Frozen, and the wire format too.

Every message about an image carries its `attempt`: a worker that was thought dead and speaks again is
recognised by it, and what it says is dropped.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec

from generation.models.catalog import Model
from generation.requests.recipe import Fingerprint
from generation.requests.spec import ImageSpec
from generation.safety.strictness import Strictness


class Share(msgspec.Struct, frozen=True):
    """Whose image it is, for fair stepping: the guild, its weight, and its counter when admitted (cost / weight);
    in the guild the member, and the member's boost."""

    guild_id: int
    weight: float = 1.0
    counter: float = 0.0
    user_id: int = 0
    boost: float = 1.0


class GenerateCommand(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make this image. `start_png` and `mask_png` are the files `spec.start` (or `spec.upscale`) names."""

    image_id: str
    attempt: int
    spec: ImageSpec
    share: Share
    check_safety: bool = True
    shows_flagged: bool = False
    """A picture the checker flags comes out all the same, marked: the bot shows it as the guild chose."""
    strictness: Strictness = Strictness.USUAL
    """By which thresholds the checkers judge: the guild may have chosen lower ones than the operator's."""
    says_young: bool = False
    """Its words name an age below 18: then nothing sexual may be in the picture (`generation.safety.minor_safety`)."""
    keeps_for_review: bool = False
    """Of a picture that is kept back, a blurred one comes out for moderators."""
    num_previews: int = 0
    start_png: bytes | None = None
    mask_png: bytes | None = None
    control_pngs: tuple[bytes, ...] = ()
    """The files that `spec.control` names, in its order."""
    reference_pngs: tuple[bytes, ...] = ()
    """The files that `spec.reference` names, in its order."""
    image_prompt_png: bytes | None = None
    """The file that `spec.image_prompt` names."""
    replay: str | None = None
    """A trace to follow exactly; None lets the engine batch as it likes."""
    painted_png: bytes | None = None
    """The picture, where it was painted elsewhere: it is only checked, and ends as one of the engine's own."""


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stop making this image at the next step boundary."""

    image_id: str
    attempt: int


class UpdateModels(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Offer these models from now on, in the place of those before. Images in the making keep theirs."""

    models: tuple[Model, ...]


class Close(msgspec.Struct, frozen=True, tag=True):
    """Stop now and exit: residents are dropped without events; their orders will be sent again."""


Command = GenerateCommand | Cancel | UpdateModels | Close


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker has loaded its model. `num_slots` images may be resident at once.

    One that has room for none would be waited for without end: that is nonsense, and another worker is started.
    """

    num_slots: Annotated[int, msgspec.Meta(ge=1)]
    fingerprint: Fingerprint
    model_sha256: dict[str, str]
    """SHA-256 over the weights of each model it can run, by catalogue name."""


class LoadedModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One model in the worker's memory: where its weights lie between forwards, and how many bytes they take."""

    name: str
    device: str
    num_bytes: int


class LargestPx(NamedTuple):
    """The most pixels that a picture has, and that all rows of its forward have together."""

    picture: int
    rows: int

    def find_for(self, num_rows: int) -> int:
        """Return the most pixels of a picture of so many rows."""
        return min(self.picture, self.rows // num_rows)


class ModelsReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the worker can run, and what of it is in memory. Sent after `Ready`, and whenever it changes."""

    model_sha256: dict[str, str]
    """As in `Ready`."""
    loaded: tuple[LoadedModelInfo, ...] = ()
    largest_px: dict[str, LargestPx] = {}
    """How large a picture of each model is at most in its memory; those that fit at any size may be left out."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`done` of `total` model evaluations are behind this image."""

    image_id: str
    attempt: int
    done: int
    total: int
    at_s: float | None = None
    """When, by the bot's monotonic clock; None: now. Who passes events on in batches says it."""
    rows: int = 0
    """Rows of this image in the forward that did it."""
    capacity_rows: float = 0.0
    """Its part of all rows of that forward, with those that were left empty."""


class Preview(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A small look at an unfinished image (JPEG bytes), already past the safety gate."""

    image_id: str
    attempt: int
    jpeg: bytes


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The picture: raw RGB8 rows, width x height x 3 bytes. `pixels` is empty when `withheld`."""

    image_id: str
    attempt: int
    width_px: int
    height_px: int
    pixels: bytes
    trace: str
    evaluations: int
    withheld: bool = False
    flagged: bool = False
    """The checker spoke against it, whether or not it is withheld."""
    is_start_flagged: bool = False
    """The checker spoke against the picture it starts from; when withheld, nothing was painted."""
    safety_scores: dict[str, float] = {}
    review_jpeg: bytes = b""
    """A withheld picture, blurred past recognition of detail, where the guild keeps those for its moderators."""
    model_sha256: str = ""
    """Of the weights that painted it. What the engine leaves empty, its worker fills in."""
    fingerprint: Fingerprint | None = None
    """Of the engine that painted it, without `storage`. What the engine leaves out, its worker fills in."""
    storage: str = ""
    """How the weights were kept in memory, where they were not whole: part of the fingerprint."""
    dropped: str = ""
    """The end of the prompt, where it was too long for the model to read."""


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stopped, after `evaluations` model evaluations that the owner pays for."""

    image_id: str
    attempt: int
    evaluations: int


class ImageFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """This image could not be made. `error` is a class of `generation.errors`."""

    image_id: str
    attempt: int
    error: str
    message: str


class WorkerLost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker process is gone and with it every resident image. Sent by the supervisor, never by the worker."""

    reason: str


Event = Ready | Progress | Preview | Finished | Cancelled | ImageFailed | WorkerLost
