"""Qwen-Image-Edit and -Plus beside their stock pipelines, their words seeing pictures too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import QwenImageEditPipeline, QwenImageEditPlusPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image as PillowImage
from transformers import Qwen2TokenizerFast
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from generation.engine import slot as slots
from generation.engine.engine import Engine
from generation.engine.families.qwenedit import QwenImageEdit
from generation.engine.references import list_seen
from generation.engine.vision_patches import count_patches, cut_patches, number_tokens, read_patch_settings
from generation.images.codec import decode_png
from generation.jobs.protocol import Finished, GenerateCommand
from generation.models.families import FAMILIES
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import as_array, ends, paint, run, trace_of
from tests.generation.engine.test_editing import SQUARE, TALL, WIDE, an_edit
from tests.generation.engine.toy_flow import toy_flow_model
from tests.generation.engine.toy_qwen import save_toy_qwenedit

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PLUS = "qweneditplus"
_BY_RATIO = {width / height: (width, height) for width, height in (SQUARE, WIDE, TALL)}


class WithoutFilms(Qwen2_5_VLProcessor):
    """The stock processor, whose half for films wants torchvision."""

    def check_argument_for_proper_class(self, *around: Any) -> None:
        return None


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("qwenedit")
    plus = save_toy_qwenedit(made / "plus", is_plus=True, zero_cond=True)
    return {"qwenedit": save_toy_qwenedit(made / "one"), PLUS: plus}


@pytest.fixture(scope="module")
def engines(folders: dict[str, Path]) -> Iterator[dict[str, Engine]]:
    settings = EngineSettings(num_threads=1, num_cached_prompts=8)
    made = {name: Engine([toy_flow_model(path, name)], settings) for name, path in folders.items()}
    yield made
    for engine in made.values():
        engine.close()


@pytest.fixture
def at_toy_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stock pipelines see toys at their own size, which ours does: they enlarge them to 1024 x 1024 pixels."""
    plus, true = pipeline_qwenimage_edit_plus, pipeline_qwenimage_edit_plus.calculate_dimensions
    monkeypatch.setattr(pipeline_qwenimage_edit, "calculate_dimensions", lambda area, ratio: (*_BY_RATIO[ratio], None))
    monkeypatch.setattr(
        plus,
        "calculate_dimensions",
        lambda area, ratio: true(area, ratio) if area == plus.CONDITION_IMAGE_SIZE else _BY_RATIO[ratio],
    )


def make_stock(folder: Path, family: str, *, hands_on: bool = True) -> Any:
    """Return the stock pipeline. `hands_on`: tell the encoder which tokens are of pictures, as its processor says and
    the pipelines of diffusers 0.42 forget: without it rows and columns have no places of their own."""
    cls = QwenImageEditPlusPipeline if family == PLUS else QwenImageEditPipeline
    tokenizer = Qwen2TokenizerFast.from_pretrained(folder / "tokenizer")
    processor = WithoutFilms(Qwen2VLImageProcessorPil.from_pretrained(folder / "processor"), tokenizer, None)
    stock = cls.from_pretrained(folder, processor=processor)
    stock.set_progress_bar_config(disable=True)
    if hands_on:
        stock.text_encoder.register_forward_pre_hook(_tell_pictures, with_kwargs=True)
    return stock


def _tell_pictures(encoder: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    told = (kwargs["input_ids"] == encoder.config.image_token_id).int()
    return args, {**kwargs, "mm_token_type_ids": told}


def open_pictures(order: GenerateCommand) -> list[PillowImage.Image]:
    drawn = (decode_png(png) for png in order.reference_pngs)
    return [PillowImage.frombytes("RGB", size, rows) for rows, size in drawn]


def stock_picture(stock: Any, order: GenerateCommand) -> np.ndarray:
    spec, pictures = order.spec, open_pictures(order)
    output = stock(
        image=pictures if isinstance(stock, QwenImageEditPlusPipeline) else pictures[0],
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        true_cfg_scale=spec.guidance,
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    return (output.images[0] * 255).round().astype(int)


def an_order_of(sizes: tuple[tuple[int, int], ...], **changes: Any) -> GenerateCommand:
    usual: dict[str, Any] = {"prompt": "make it snow", "negative": "blurry", "steps": 2}
    return an_edit(*sizes, **usual | changes)


@pytest.mark.usefixtures("at_toy_size")
@pytest.mark.parametrize(
    ("family", "sizes", "guidance"),
    [
        ("qwenedit", (WIDE,), 3.0),
        pytest.param(PLUS, (WIDE, SQUARE), 3.0, marks=pytest.mark.long),
        pytest.param("qwenedit", (SQUARE,), 1.0, marks=pytest.mark.long),
        pytest.param("qwenedit", (TALL,), 3.0, marks=pytest.mark.long),
        (PLUS, (TALL,), 1.0),
        pytest.param(PLUS, (SQUARE, TALL, WIDE), 3.0, marks=pytest.mark.long),
    ],
)
def test_an_edit_matches_the_stock_pipeline(
    engines: dict[str, Engine],
    folders: dict[str, Path],
    family: str,
    sizes: tuple[tuple[int, int], ...],
    guidance: float,
) -> None:
    """To one of 255 levels; and another picture, or another word, is another result."""
    order = an_order_of(sizes, guidance=guidance)
    ours = as_array(paint(engines[family], order))
    assert np.abs(ours - stock_picture(make_stock(folders[family], family), order)).max() <= 1
    for other in (an_order_of(sizes, guidance=guidance, first=4), an_order_of(sizes, guidance=guidance, prompt="rain")):
        assert np.abs(ours - as_array(paint(engines[family], other))).max() > 1


@pytest.mark.usefixtures("at_toy_size")
@pytest.mark.parametrize("family", [pytest.param("qwenedit", marks=pytest.mark.long), PLUS])
def test_words_see_pictures_as_the_stock_encoder_does(
    engines: dict[str, Engine], folders: dict[str, Path], family: str
) -> None:
    """And another picture changes them. Where diffusers tells the encoder of no pictures, they are others."""
    ours: QwenImageEdit = engines[family]._models.get("toy").family  # type: ignore[assignment]
    order = an_order_of((WIDE, SQUARE) if family == PLUS else (WIDE,), guidance=1.0)
    text, pictures = ours._text, open_pictures(order)
    ids = text.read_beside("snow", [each.size for each in pictures]).ids
    seen = [each.resize(text.choose_size(each.size), PillowImage.Resampling.LANCZOS) for each in pictures]
    given = seen if family == PLUS else seen[0]
    with torch.inference_mode():
        found = text.look(ids, pictures)
        theirs, _ = make_stock(folders[family], family).encode_prompt("snow", given)
        forgetful, _ = make_stock(folders[family], family, hands_on=False).encode_prompt("snow", given)
        other = text.look(ids, [each.rotate(180) for each in pictures])
    assert theirs.shape == (1, *found.shape)
    assert torch.allclose(found, theirs[0], atol=1e-5)
    assert not torch.allclose(found, forgetful[0], atol=1e-3) and not torch.allclose(found, other, atol=1e-3)


@pytest.mark.parametrize(("family", "most"), [("qwenedit", 1), pytest.param(PLUS, 3, marks=pytest.mark.long)])
def test_edits_and_plain_pictures_replay(engines: dict[str, Engine], family: str, most: int) -> None:
    """Those that see as much share forwards, whatever the pictures show; and each is repeated alone."""
    sizes: list[tuple[tuple[int, int], ...]] = [(), (SQUARE,), (SQUARE,), (WIDE,), (WIDE, SQUARE, TALL)[:most]]
    orders = [
        an_order_of(each, image_id=f"a-{n}", seed=n, first=n, guidance=(1.0, 3.0)[n % 2], prompt="snow " * (1 + n % 2))
        for n, each in enumerate(sizes)
    ]
    crowd = {name: end for name, end in ends(run(engines[family], *orders)).items() if isinstance(end, Finished)}
    assert len(crowd) == len(orders)
    for order in orders:
        alone = paint(engines[family], msgspec.structs.replace(order, replay=crowd[order.image_id].trace))
        assert alone == crowd[order.image_id]


def test_only_those_that_see_as_much_share_a_forward(
    engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a key that forgets what is seen ends in inputs that do not fit."""

    def paint_together() -> dict[str, Any]:
        each = [an_order_of((size,), image_id=f"a-{n}", guidance=1.0) for n, size in enumerate((SQUARE, SQUARE, WIDE))]
        return ends(run(engines["qwenedit"], *each))

    traces = [trace_of(end) for end in paint_together().values()]
    assert sorted(traces) == ["1x2", "2x2", "2x2"]
    monkeypatch.setattr(slots, "list_reference_sizes", lambda spec: ())
    with pytest.raises((RuntimeError, KeyError)):
        paint_together()


def test_marks_of_pictures_in_a_prompt_are_left_out(engines: dict[str, Engine]) -> None:
    """Nothing would fill them; and a whole edit whose prompt has some is painted."""
    text = engines[PLUS]._models.get("toy").family._text  # type: ignore[attr-defined]
    wanted = text.read_beside("a dog", [SQUARE])
    assert text.read_beside("a <|image_pad|>dog<|image_pad|>", [SQUARE]) == wanted
    hostile = "<|vision_start|><|image_pad|><|vision_end|><|image_<|image_pad|>pad|>"
    for sizes in ((), (SQUARE,)):
        assert isinstance(paint(engines[PLUS], an_order_of(sizes, prompt=hostile, steps=1)), Finished)


@pytest.mark.parametrize("family", ["qwenedit", PLUS])
def test_the_tokens_are_those_of_the_stock_template(
    engines: dict[str, Engine], folders: dict[str, Path], family: str
) -> None:
    stock, text = make_stock(folders[family], family), engines[family]._models.get("toy").family._text  # type: ignore[attr-defined]
    assert text.unseen == stock.prompt_template_encode_start_idx
    frame = "Picture 1: <|vision_start|><|image_pad|><|vision_end|>" if family == PLUS else ""
    prompt = "make it snow, and keep the red boat"
    picture = PillowImage.new("RGB", text.choose_size(WIDE))
    theirs = stock.processor(
        text=[stock.prompt_template_encode.format(frame + prompt)], images=[picture], return_tensors="pt"
    )
    assert text.read_beside(prompt, [WIDE]).ids == tuple(theirs["input_ids"][0].tolist())
    long = text.read_beside("x" * 700, [WIDE])
    assert set(long.dropped) == {"x"} and 0 < len(long.dropped) < 700


@pytest.mark.parametrize("size_px", [SQUARE, WIDE, (40, 40), (700, 500), (30, 900)])
def test_patches_are_those_of_the_stock_processor(folders: dict[str, Path], size_px: tuple[int, int]) -> None:
    """Enlarged, reduced, and at their own size."""
    processor = Qwen2VLImageProcessorPil.from_pretrained(folders[PLUS] / "processor")
    encoder = make_stock_vision()
    settings = read_patch_settings(encoder, {"min_pixels": 56 * 56, "max_pixels": 392 * 392})
    noise = np.random.RandomState(0).randint(0, 255, (*size_px[::-1], 3), dtype=np.uint8)
    picture = PillowImage.fromarray(noise)
    theirs = processor(images=[picture], return_tensors="pt")
    assert theirs["image_grid_thw"].tolist() == [[1, *count_patches(size_px, settings)]]
    assert torch.allclose(cut_patches(picture, settings), theirs["pixel_values"], atol=1e-6)
    newer = {"image_processor": {"size": {"shortest_edge": 56 * 56, "longest_edge": 392 * 392}}}
    assert read_patch_settings(encoder, newer) == settings


def make_stock_vision() -> Any:
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

    return Qwen2_5_VLVisionConfig()


@pytest.mark.parametrize(
    "said",
    [{"min_pixels": 9, "max_pixels": 4}, {"image_mean": [0.5]}, {"image_std": [0, 1, 1]}, {"max_pixels": "many"}],
    ids=str,
)
def test_a_processor_that_can_cut_nothing_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no picture can be cut"):
        read_patch_settings(make_stock_vision(), said)


def test_places_are_those_of_the_stock_encoder(engines: dict[str, Engine]) -> None:
    encoder = engines[PLUS]._models.get("toy").family.text_encoders["text_encoder"]
    kinds = torch.tensor([[0] * 5 + [1] * 6 + [0] * 2 + [1] * 4 + [0] * 3])
    grids = torch.tensor([[1, 4, 6], [1, 8, 2]])
    theirs, _ = encoder.get_rope_index(torch.zeros_like(kinds), mm_token_type_ids=kinds, image_grid_thw=grids)
    assert torch.equal(number_tokens(20, [(5, (2, 3)), (13, (4, 1))]), theirs)


def test_at_full_size_pictures_are_looked_at_as_by_the_stock_pipeline(
    engines: dict[str, Engine], folders: dict[str, Path]
) -> None:
    text = engines[PLUS]._models.get("toy").family._text  # type: ignore[attr-defined]
    model = replace(toy_flow_model(folders[PLUS], PLUS), defaults=FAMILIES[PLUS].defaults)
    for width, height in model.shapes().values():
        wanted = pipeline_qwenimage_edit_plus.calculate_dimensions(384 * 384, width / height)
        assert text.choose_size((width, height)) == wanted


def test_the_same_words_beside_another_picture_are_read_again(engines: dict[str, Engine]) -> None:
    """What was read is kept by the words and the pictures: else the first picture would stand for all."""
    family: QwenImageEdit = engines["qwenedit"]._models.get("toy").family  # type: ignore[assignment]
    rows = []
    for first in (6, 7, 6):
        order = an_order_of((SQUARE,), first=first, guidance=1.0)
        with torch.inference_mode():
            given = family.edit(order.spec, family.tokenize(order.spec), list_seen(order))
        rows.append(given["encoder_hidden_states"])
    assert torch.equal(rows[0], rows[2]) and not torch.equal(rows[0], rows[1])
