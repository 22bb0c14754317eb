"""The pictures that a spec edits: what is refused, written, counted as a source, and charged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from generation.errors import InvalidRequestError
from generation.images.iptc import SourceType, get_source_type
from generation.jobs.derive import enlarge, reuse_settings
from generation.jobs.job import Image, Status
from generation.jobs.job_kind import JobKind, get_job_kind
from generation.models.catalog import Model
from generation.models.editing import find_editor, refer_to, require_references
from generation.requests.cost import WORK, image_cost
from generation.requests.defaults import Defaults
from generation.requests.edits import StartImage, Upscale
from generation.requests.errors import (
    CannotEditError,
    ModelReferencesError,
    NoEditorError,
    ReferenceWithUpscaleError,
    TooManyReferencesError,
)
from generation.requests.plain import is_plain
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.references import MAX_REFERENCES, Reference
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unfetched import NO_FILE, hide_files
from tests.generation.service_harness import spec

DIGEST, OTHER = "c" * 64, "d" * 64


def reference(**changes: Any) -> Reference:
    plain: dict[str, Any] = {"sha256": DIGEST, "width_px": 512, "height_px": 512}
    return Reference(**plain | changes)


def a_model(family: str, *, native_px: int = 512) -> Model:
    defaults = Defaults(steps=20, guidance=4.0, sampler="Euler", native_px=native_px)
    return Model(name=f"my-{family}", path=Path("/nowhere"), family=family, licence="none", defaults=defaults)


@pytest.mark.parametrize("references", [(), (reference(),) * (MAX_REFERENCES + 1)])
def test_one_to_four_are_seen_at_once(references: tuple[Reference, ...]) -> None:
    with pytest.raises(TooManyReferencesError):
        spec(reference=references)


@pytest.mark.parametrize("changes", [{"width_px": 7}, {"height_px": 4096}, {"width_px": 512.0}])
def test_a_size_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        reference(**changes)


def test_an_enlargement_takes_none() -> None:
    with pytest.raises(ReferenceWithUpscaleError):
        spec(upscale=Upscale(sha256=DIGEST), reference=(reference(),))


def test_a_spec_without_one_is_written_as_before() -> None:
    assert b"reference" not in msgspec.json.encode(spec())
    written = msgspec.json.encode(spec(reference=(reference(),)))
    assert msgspec.json.decode(written, type=ImageSpec).references == (reference(),)


def test_its_pictures_are_sources_in_their_order() -> None:
    start = StartImage(sha256="e" * 64, strength=0.5, mask_sha256="f" * 64)
    both = spec(reference=(reference(sha256=OTHER), reference()), start=start)
    assert both.made_from == ("e" * 64, OTHER, DIGEST)
    assert both.sources == both.files == {DIGEST, OTHER, "e" * 64, "f" * 64}
    edit = spec(reference=(reference(),))
    assert not is_plain(edit) and get_source_type(edit) is SourceType.COMPOSITE
    assert get_job_kind(GenerationRequest(spec=edit)) is JobKind.EDITED


def test_it_is_hidden_until_it_is_fetched() -> None:
    request = GenerationRequest(spec=spec(reference=(reference(), reference(sha256=OTHER))))
    assert [each.sha256 for each in hide_files(request, {DIGEST}).spec.references] == [NO_FILE, OTHER]


def test_its_pixels_are_as_dear_as_the_pictures_own() -> None:
    work = WORK["klein"]
    asked: dict[str, Any] = {"width_px": 512, "height_px": 512, "steps": 10}
    plain, edit = image_cost(spec(**asked), work=work), image_cost(spec(**asked, reference=(reference(),)), work=work)
    more = 10 * spec(**asked).num_rows * (work.of(512, 1024) - work.of(512, 512)) + work.encode
    assert edit - plain == pytest.approx(1000 * more, abs=1)


def test_only_models_that_edit_take_them_and_the_others_name_those() -> None:
    sd, klein = a_model("sd"), a_model("klein")
    with pytest.raises(CannotEditError, match="my-klein"):
        require_references(sd, (sd, klein), (reference(),))
    with pytest.raises(NoEditorError):
        require_references(sd, (sd,), (reference(),))
    with pytest.raises(InvalidRequestError, match="multiples of 16"):
        require_references(klein, (sd, klein), (reference(width_px=520),))
    with pytest.raises(InvalidRequestError):
        require_references(klein, (sd, klein), (reference(width_px=2048),))
    require_references(klein, (sd, klein), (reference(),) * 4)


def test_a_family_takes_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    klein = a_model("klein")
    monkeypatch.setattr("generation.models.catalog.FAMILIES", {"klein": replace(klein.info, max_references=1)})
    with pytest.raises(ModelReferencesError):
        require_references(klein, (klein,), (reference(),) * 2)


def test_the_model_that_paints_edits_if_it_can_else_the_first_that_can_and_may() -> None:
    sd, klein, nine = a_model("sd"), a_model("klein"), a_model("klein9b")
    assert find_editor((nine, sd, klein, nine)) is nine
    assert find_editor((sd, klein, nine)) is klein
    assert find_editor((sd, klein, nine), allowed=("my-sd", "my-klein9b")) is nine
    with pytest.raises(NoEditorError):
        find_editor((sd, klein), allowed=("my-sd",))


def test_pictures_of_like_shapes_are_seen_at_one_size() -> None:
    klein = a_model("klein", native_px=1024)
    sizes = {refer_to(klein, DIGEST, size).size_px for size in ((3000, 2000), (900, 610), (1500, 1000))}
    assert len(sizes) == 1
    assert refer_to(klein, DIGEST, None).size_px == (1024, 1024)
    assert len({refer_to(klein, DIGEST, (w, h)).size_px for w in range(64, 2048, 50) for h in range(64, 2048, 50)}) == 5


def test_what_is_enlarged_or_reused_sees_nothing() -> None:
    edit = spec(reference=(reference(),))
    image = Image(job_id="j", index=0, spec=edit, reserved=1, status=Status.DONE, file_sha256=OTHER)
    assert enlarge(image).spec.references == ()
    recipe = Recipe(spec=edit, model_sha256="", trace="", fingerprint=Fingerprint({}), pixels_sha256=OTHER)
    assert reuse_settings(recipe, a_model("klein")).spec.references == ()
