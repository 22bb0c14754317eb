"""`<region:left:a red boat>`: what each row reads, what is refused, what rules and age words see, what it costs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InvalidRequestError
from generation.policy.policy import collect_texts
from generation.requests.control import UNION, Control
from generation.requests.cost import Work, image_cost
from generation.requests.drawing import draw_prompts, write_prompts
from generation.requests.errors import (
    EmptyPromptError,
    LoraInNegativePromptError,
    TooManyPromptEditsError,
    UnknownLoraError,
)
from generation.requests.flags import read_flags
from generation.requests.plain import is_plain
from generation.requests.prompt_addons import PromptAddon, read_prompts
from generation.requests.prompt_schedule import MAX_WORDINGS, Wording
from generation.requests.prompt_weights import SYNTAX
from generation.requests.recipe import Fingerprint, Recipe, Trace, require_trace
from generation.requests.region_errors import (
    EmptyRegionError,
    HiddenRegionError,
    RegionInNegativePromptError,
    RegionsWithUnionError,
    RegionTagError,
    RestUndescribedError,
    TooManyRegionsError,
    UnknownAreaError,
)
from generation.requests.regions import AREAS, GRID, check_regions, find_cells, list_owners, list_row_prompts
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unread_syntax import list_prompt_notes
from generation.safety.errors import MinorSafetyError
from generation.safety.minor_safety import protection
from tests.generation.engine.toy import toy_model

SPEC = ImageSpec(
    prompt="a", model="toy", width_px=64, height_px=64, steps=4, guidance=3.0, sampler="DDIM", seed=1, syntax=SYNTAX
)
NEON = PromptAddon(name="neon", path=Path("n"), sha256="a" * 64)
MODEL = toy_model(Path("nowhere"), loras=(NEON,), embeddings=(NEON,))
LEFT, RIGHT, CENTER = "<region:left:a boat>", "<region:right:a tower>", "<region:center:a swan>"


def spec_of(prompt: str, **changes: Any) -> ImageSpec:
    return replace(SPEC, prompt=prompt, **changes)


@pytest.mark.parametrize(
    ("prompt", "rows"),
    [
        ("a harbour", ("a harbour",)),
        (f"a harbour {LEFT}", ("a harbour", "a harbour, a boat")),
        (f"{LEFT} a harbour", ("a harbour", "a harbour, a boat")),
        (f"x, {LEFT}, {CENTER}, at night", ("x, at night", "x, at night, a boat", "x, at night, a swan")),
        (f"{LEFT}{RIGHT}", ("a boat", "a tower")),
        (f"a harbour {LEFT} {RIGHT}", ("a harbour, a boat", "a harbour, a tower")),
        (f"{LEFT}{RIGHT}{CENTER}", ("a boat", "a tower", "a swan")),
        ("x < Region : LEFT :  a (red:1.3) boat: new >", ("x", "x, a (red:1.3) boat: new")),
        ("x <region:top-left:y>", ("x", "x, y")),
        ("a <3 b", ("a <3 b",)),
        ("a <regions:left:b>", ("a <regions:left:b>",)),
        ("a <region left: b>", ("a <region left: b>",)),
    ],
)
def test_what_each_row_reads(prompt: str, rows: tuple[str, ...]) -> None:
    spec = spec_of(prompt)
    assert spec.row_prompts == rows and spec.num_rows == len(rows) + 1
    assert replace(spec, guidance=1.0).num_rows == len(rows)


def test_an_older_prompt_has_no_regions() -> None:
    for syntax in (1, 2, 3):
        spec = spec_of("a <region:nowhere:b> <region:left:", syntax=syntax)
        assert (spec.row_prompts, spec.areas, spec.num_rows) == ((spec.prompt,), (), 2)


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("x <region:nowhere:a>", UnknownAreaError),
        ("x <region::a>", UnknownAreaError),
        ("x <region:left third:a>", UnknownAreaError),
        ("x <region:left:>", EmptyRegionError),
        ("x <region:left: , >", EmptyRegionError),
        ("x <region:left>", EmptyRegionError),
        (f"x {LEFT} {RIGHT} {CENTER} <region:top-left:a>", TooManyRegionsError),
        ("x <region:left:a <region:right:b>>", RegionTagError),
        ("x <region:left:a <lora:neon:1> b>", RegionTagError),
        ("x <region:left:a", RegionTagError),
        ("x <region>", RegionTagError),
        (f"x ({LEFT}:1.2)", RegionTagError),
        (f"x [{LEFT}:0.5]", RegionTagError),
        (f"[x|{LEFT}]", RegionTagError),
        ("x [a <region:left:b:0.5]>", RegionTagError),
        ("x <region:left:a (b> c:1.2)", RegionTagError),
        (f"x {LEFT} <region:left:b>", HiddenRegionError),
        (f"x {CENTER} {LEFT} {RIGHT}", HiddenRegionError),
        (LEFT, RestUndescribedError),
        (f"{LEFT}, {CENTER}.", RestUndescribedError),
    ],
)
def test_what_cannot_be_read_is_refused(prompt: str, kind: type[InvalidRequestError]) -> None:
    for refused in (spec_of, lambda text: read_prompts(MODEL, text)):
        with pytest.raises(kind):
            refused(prompt)


def test_a_region_is_no_part_of_what_is_avoided() -> None:
    for negative in (LEFT, "<region:"):
        with pytest.raises(RegionInNegativePromptError):
            spec_of("x", negative=negative)
        with pytest.raises(RegionInNegativePromptError):
            read_prompts(MODEL, "x", negative)
    with pytest.raises(LoraInNegativePromptError):
        read_prompts(MODEL, "x", "<lora:neon>")


def test_edits_change_the_words_of_a_region_and_nothing_else() -> None:
    spec = spec_of("x [y:0.5] <region:left:[a|b] c>", negative="[d|e]")
    assert [each.prompt for each in spec.wordings] == [
        "x <region:left:a c>",
        "x <region:left:b c>",
        "x y <region:left:a c>",
        "x y <region:left:b c>",
    ]
    assert Wording("x y, b c", "e") in spec.readings and {each.prompt for each in spec.readings} >= {"x", "x y"}
    for prompt in ("[<re:a:0.5]gion:left:b> x", "x <region:[left|right]:b>", f"x {LEFT} [<region:|a]"):
        with pytest.raises(InvalidRequestError):
            spec_of(prompt)


def test_the_wordings_of_all_rows_are_as_many_as_those_of_one_prompt() -> None:
    assert len(spec_of(f"[a|b|c|d] {LEFT} {CENTER}").readings) == MAX_WORDINGS
    for prompt in (f"[a|b|c|d] {LEFT} {CENTER} <region:top-right:b>", f"[a|b|c|d] x {LEFT} <region:top-right:[b|c|d]>"):
        with pytest.raises(TooManyPromptEditsError):
            spec_of(prompt, steps=12)


def test_names_are_found_in_regions_and_lora_hold_for_the_whole_picture() -> None:
    read = read_prompts(MODEL, "x <region:left:a neon boat> <lora:neon:0.5>")
    assert read.prompt == "x <region:left:a neon boat>" and read.syntax == SYNTAX
    assert [each.name for each in read.embeddings] == ["neon"] and [each.weight for each in read.adapters] == [0.5]
    left = replace(MODEL, embeddings=(replace(NEON, name="left"),))
    assert read_prompts(left, f"x {LEFT}").embeddings == (), "the area is no word of the prompt"
    with pytest.raises(UnknownLoraError):
        read_prompts(MODEL, f"x {LEFT} <lora:other>")


def test_what_is_drawn_may_be_anywhere_in_it() -> None:
    written = write_prompts(MODEL, "x <region:{left|right}:a {red|blue} boat> {|<region:top-left:y>}")
    request = GenerationRequest(spec=replace(SPEC, **written), count=8)
    assert request.spec.areas == () and request.spec.num_rows == 2, "nothing is known of it yet"
    images = list(draw_prompts(request, MODEL, {}).images())
    assert {len(each.areas) for each in images} == {1, 2}
    assert {each.areas[0] for each in images} == {AREAS["left"], AREAS["right"]}
    assert {each.row_prompts[1] for each in images} == {"x, a red boat", "x, a blue boat"}
    bad = GenerationRequest(spec=replace(SPEC, **write_prompts(MODEL, "x <region:{here|there}:a>")))
    with pytest.raises(UnknownAreaError):
        draw_prompts(bad, MODEL, {})


# What others see of it.


def test_rules_see_the_prompt_as_written_and_what_each_row_reads() -> None:
    spec = spec_of("a green <region:left:[red|blue] boat> harbour", negative="fog")
    texts = collect_texts(GenerationRequest(spec=spec), default_model="toy")
    assert {spec.prompt, "fog", "a green harbour", "a green harbour, red boat", "a green harbour, blue boat"} <= {
        *texts
    }
    own = collect_texts(GenerationRequest(spec=spec), default_model="toy", own_negatives={"toy": "fog"})
    assert "fog" not in own and "a green harbour, red boat" in own


def test_age_words_are_seen_across_all_regions() -> None:
    for prompt in (
        "a nude, standing <region:left:a little girl, aged 9>",
        "a harbour <region:left:a nude> <region:right:a 9 year old girl>",
        "a nude <region:left:boat> 9 year old",
    ):
        with pytest.raises(MinorSafetyError):
            protection().require_harmless(spec_of(prompt).said)
    assert protection().says_young(spec_of("a beach <region:left:a 9 year old girl>").said)
    protection().require_harmless(spec_of("a beach <region:left:a boat>").said)


def test_notes_name_what_is_plain_in_a_region_and_not_the_region() -> None:
    assert list_prompt_notes(spec_of(f"x {LEFT}")) == ()
    [note] = list_prompt_notes(spec_of("x <region:left:a (b:80%)>"))
    assert "(b:80%)" in str(note) and "region" not in str(note)
    [note] = list_prompt_notes(spec_of("x <region:left:a (b:0.8)>"), literal=("toy",))
    assert "(b:0.8)" in str(note)
    [note] = list_prompt_notes(spec_of("x \uff1cregion:left:a>"))
    assert "region" in str(note), "other brackets are no tag"


def test_flags_stay_outside() -> None:
    words, flags = read_flags("x <region:left:a --no dogs> --seed 7")
    assert (words, flags.values) == ("x <region:left:a --no dogs>", {"seed": 7})
    assert read_flags("x --no dogs <region:left:a>")[1].values == {"negative": "dogs <region:left:a>"}


def test_no_other_program_paints_it_from_its_words() -> None:
    plain = spec_of("x")
    assert is_plain(plain) and not is_plain(replace(plain, prompt=f"x {LEFT}"))


def test_a_union_is_refused_beside_regions() -> None:
    union = Control(network="u", network_sha256="a" * 64, sha256="b" * 64, kind=UNION, mode="depth")
    lines = Control(network="c", network_sha256="c" * 64, sha256="b" * 64)
    assert spec_of(f"x {LEFT}", control=(lines,)).controls == (lines,)
    assert spec_of("x", control=(union,)).controls == (union,)
    with pytest.raises(RegionsWithUnionError):
        spec_of(f"x {LEFT}", control=(lines, union))


# Rows: price and trace.


@pytest.mark.parametrize(
    ("prompt", "rows"), [("x", 2), (f"x {LEFT}", 3), (f"{LEFT}{RIGHT}", 3), (f"x{LEFT}{CENTER}", 4)]
)
def test_each_row_is_paid(prompt: str, rows: int) -> None:
    work = Work(0.0, 1.0, 0.0, text=0.5, decode=0.0)
    assert image_cost(spec_of(prompt), work=work) == round(1000 * rows * (4 * 64 * 64 / 512 / 512 + 0.5))


def test_a_trace_has_buckets_that_hold_its_rows() -> None:
    spec = spec_of(f"x {LEFT}")
    for trace, is_minimal in (("4x4", True), ("8x4", False), ("4x3,16x1", False)):
        assert require_trace(spec, trace).is_minimal(spec.num_rows) is is_minimal
    with pytest.raises(InvalidRequestError):
        require_trace(spec, "2x4")
    assert Trace.parse("2x4").is_minimal(2) and Trace.parse("8x4").is_minimal(5)


def test_a_recipe_repeats_its_regions() -> None:
    spec = replace(SPEC, **read_prompts(MODEL, f"x {LEFT} <lora:neon:0.5>")._asdict())
    recipe = Recipe(spec=spec, model_sha256="c" * 64, trace="4x4", fingerprint=Fingerprint({}), pixels_sha256="a" * 64)
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe and again.spec.row_prompts == ("x", "x, a boat")
    assert read_prompts(MODEL, again.spec.written) == read_prompts(MODEL, f"x {LEFT} <lora:neon:0.5>")


# Areas.


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 12, 13, 64, 96, 255])
def test_areas_share_the_cells_of_every_size(size: int) -> None:
    for parts in ((0, 6, 12), (0, 4, 8, 12), (0, 3, 9, 12)):
        slices = [find_cells(low, high, size) for low, high in pairwise(parts)]
        assert [cell for each in slices for cell in range(size)[each]] == list(range(size))
        assert all(each.start >= 0 for each in slices)


def test_areas_are_rectangles_in_the_picture_and_all_of_them_are_told_apart() -> None:
    assert len(set(AREAS.values())) == len(AREAS)
    assert all(0 <= a.left < a.right <= GRID and 0 <= a.top < a.bottom <= GRID for a in AREAS.values())
    thirds = [AREAS[f"{name}-third"] for name in ("left", "center", "right")]
    assert list_owners(thirds) == {1, 2, 3} and list_owners(thirds[:2]) == {0, 1, 2}


TYPED = st.one_of(
    st.text(st.sampled_from("<>:[](){}|\\ab ,.5"), max_size=30),
    st.sampled_from(["<region:", "left:", "<region:left:a>", "<region:right:b>"]),
)


@given(st.lists(TYPED, max_size=8))
def test_whatever_is_typed_is_read_or_refused(pieces: list[str]) -> None:
    prompt = "".join(pieces)
    with suppress(InvalidRequestError):
        check_regions(prompt)
        rows = list_row_prompts(prompt, SYNTAX)
        assert 1 <= len(rows) <= 4 and not any("<region:" in each.lower() for each in rows)
    with suppress(InvalidRequestError, EmptyPromptError):
        spec = spec_of(prompt)
        assert {len(list_row_prompts(each.prompt, SYNTAX)) for each in spec.wordings} <= {len(spec.row_prompts)}
