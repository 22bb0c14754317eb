"""What fits no worker is refused before it is accepted, and what fits some goes to one of those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generation.jobs.protocol import LargestPx
from generation.models.catalog import Catalog
from generation.models.errors import ModelTooLargeHereError, PictureTooLargeError
from generation.requests.edits import Hires
from generation.requests.prompt_weights import SYNTAX
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.memory_limits import require_memory, sized
from generation.scheduling.placement import Needs, Offer, choose
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.requests.test_cost import a_model
from tests.generation.service_harness import ADA, opened_with, spec

MEGAPIXEL = 1024 * 1024


def asked(side_px: int, **changes: Any) -> GenerationRequest:
    return GenerationRequest(spec=spec(model="m", width_px=side_px, height_px=side_px, **changes))


def offer(name: str, largest_px: int | None, rows: int = 0, **more: Any) -> Offer:
    limits = {} if largest_px is None else {"m": LargestPx(largest_px, rows or 9**12)}
    return Offer(name=name, slots=1, models=frozenset("m"), largest_px=limits, **more)


def test_a_size_that_fits_no_worker_is_refused_with_the_largest_that_would() -> None:
    offers = [offer("a", MEGAPIXEL // 2), offer("b", MEGAPIXEL), replace(offer("c", 9**9), models=frozenset("other"))]
    require_memory(asked(1024), offers)
    with pytest.raises(PictureTooLargeError, match=r"1536 x 1536 pixels .* Choose at most 1024 x 1024\."):
        require_memory(asked(1536), offers)


def test_the_larger_pass_of_a_hires_fix_counts() -> None:
    require_memory(asked(768), [offer("a", MEGAPIXEL)])
    with pytest.raises(PictureTooLargeError, match="1536 x 1536"):
        require_memory(asked(768, hires=Hires(factor=2.0, strength=0.5)), [offer("a", MEGAPIXEL)])


def test_each_row_of_a_picture_counts() -> None:
    small = offer("a", 4 * MEGAPIXEL, rows=4 * MEGAPIXEL)
    regions = {"prompt": "a <region:left:b> <region:center:c>", "syntax": SYNTAX, "guidance": 5.0}
    require_memory(asked(1024, **regions), [small])
    require_memory(asked(1408, guidance=5.0), [small])
    with pytest.raises(PictureTooLargeError, match="Choose at most 1024 x 1024"):
        require_memory(asked(1408, **regions), [small])
    offers = [small, offer("large", 4 * MEGAPIXEL, rows=16 * MEGAPIXEL, forward_s=9.0)]
    with_regions, one = (sized(Needs(model="m"), asked(2048, **each).spec) for each in (regions, {"guidance": 1.0}))
    assert (choose(with_regions, offers), one.rows) == ("large", 2)


def test_a_model_that_fits_nowhere_is_refused_with_what_the_operator_may_do() -> None:
    with pytest.raises(ModelTooLargeHereError, match=r"“m” needs more memory .*--half.*ATELIER_MEMORY=offload"):
        require_memory(asked(512), [offer("a", 0), offer("b", 100)])


@pytest.mark.parametrize("offers", [[], [offer("a", 1), offer("b", None)]], ids=["none is up", "one does not say"])
def test_what_is_not_known_refuses_nothing(offers: list[Offer]) -> None:
    require_memory(asked(2048), offers)


def test_a_large_picture_goes_to_a_worker_that_has_the_memory() -> None:
    offers = [offer("small", MEGAPIXEL), offer("large", 4 * MEGAPIXEL, load=0, forward_s=9.0)]
    large, small = (sized(Needs(model="m"), asked(side_px).spec) for side_px in (1536, 512))
    assert (choose(large, offers), choose(small, offers)) == ("large", "small")
    assert choose(large, [offers[0]]) == "small", "none has it: any will do"


def test_sizes_make_few_classes_of_work() -> None:
    found = {sized(Needs(), asked(side_px).spec).pixels for side_px in range(64, 2049, 64)}
    assert found == {512**2, 1024**2, 2048**2}


class Limited(InProcessWorker):
    @property
    def largest_px(self) -> Mapping[str, LargestPx]:
        return {"m": LargestPx(MEGAPIXEL, 9**12)}


async def test_the_service_refuses_before_anything_is_stored(tmp_path: Path) -> None:
    model = replace(a_model("m", "sd"), defaults=replace(a_model("m", "sd").defaults, native_px=1024))
    pool = WorkerPool([Member(name="card", worker=Limited((model,)))])
    async with opened_with(tmp_path, pool, catalog=Catalog((model,))) as place:
        with pytest.raises(PictureTooLargeError, match="1536 x 1536"):
            await place.generation.submit(asked(1536), ADA)
        assert place.generation.list_live_ids() == []
        await place.finished(await place.generation.submit(asked(1024), ADA))


def test_an_enlargement_has_no_pixels_of_its_network() -> None:
    one = ImageSpec.for_model(a_model("m", "sd"), prompt="-", seed=0)
    assert sized(Needs(), one).pixels == 512**2
