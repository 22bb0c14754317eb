"""Choices in a prompt: how they are read, what is drawn of them, and that nothing typed is slow or grows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InvalidRequestError
from generation.jobs.derive import apply_hires_fix, enlarge, outpaint, reroll, reuse_settings, vary, zoom_out
from generation.jobs.derive_edits import RemixOptions, get_remix_options, remix, replace_prompt, vary_strongly
from generation.jobs.job import Image, Job
from generation.owner import Owner
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.policy import collect_texts
from generation.requests.drawing import draw_prompts, write_prompts
from generation.requests.edits import Margins
from generation.requests.errors import (
    ChoicesTooDeepError,
    OutOfRangeError,
    TooManyDrawsError,
    TooManyWordListsError,
    UnknownWordListError,
    WordListCharsError,
    WordListLoopError,
    WordListNameError,
    WordListsTooLargeError,
    WordListTooLongError,
)
from generation.requests.prompt_addons import Adapter, PromptAddon
from generation.requests.prompt_weights import parse_weights
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unread_syntax import list_prompt_notes
from generation.requests.wildcards import MAX_DEPTH, MAX_DRAWS, Dice, Lists, draw, holds_choices
from generation.requests.word_lists import MAX_CHARS, MAX_LINES, MAX_LISTS, clean_lines, clean_name
from tests.db.some_jobs import NOW
from tests.generation.engine.toy import toy_model

MODEL = toy_model(Path("nowhere"), loras=(PromptAddon(name="my__x__y", path=Path("n"), sha256="a" * 64),))
SPEC = ImageSpec(prompt="a", model="toy", width_px=64, height_px=64, steps=4, guidance=3.0, sampler="DDIM", seed=1)
LISTS = {"pet": ("cat", "{big|small} dog", "__wild__"), "wild": ("fox",)}


def drawn(text: str, seed: int = 0, lists: Lists = LISTS) -> str:
    return draw(text, lists, Dice(seed))


def ask(prompt: str, negative: str = "", *, count: int = 1, seed: int = 1, **options: Any) -> GenerationRequest:
    written = write_prompts(MODEL, prompt, negative)
    return GenerationRequest(spec=replace(SPEC, **written, seed=seed), count=count, **options)


def job_of(request: GenerationRequest) -> Job:
    images = tuple(
        Image(job_id="j" * 22, index=index, spec=spec, reserved=1) for index, spec in enumerate(request.images())
    )
    return Job(id="j" * 22, owner=Owner(1, 2), request=request, created_at=NOW, images=images)


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("a {b|c} d", {"a b d", "a c d"}),
        ("{a|{b|{c|d}}}", {"a", "b", "c", "d"}),
        ("a {, red|}", {"a , red", "a"}),
        ("{2$$a|b|c}", {"a, b", "a, c", "b, a", "b, c", "c, a", "c, b"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("__pet__", {"cat", "big dog", "small dog", "fox"}),
        ("__PET__", {"cat", "big dog", "small dog", "fox"}),
        ("{__wild__|owl}", {"fox", "owl"}),
        ("{my {word}|b}", {"my {word}", "b"}),
        ("{a {b|c}", {"{a b", "{a c"}),
        ("<lora:{a|b}:1>", {"<lora:a:1>", "<lora:b:1>"}),
    ],
)
def test_it_is_one_of_those(text: str, possible: set[str]) -> None:
    assert holds_choices(text)
    assert {drawn(text, seed) for seed in range(200)} == possible


@pytest.mark.parametrize(
    "text",
    [
        *("{word}", "{{word}}", "a | b", "{", "}", "}a|b{", "{a|b", r"\{a|b\}", r"\__pet__", "a__pet__", "__pet__b"),
        *("__a__b__", "__", "____", "snake_case", "<lora:my__x__y:1>", "{$$a}", "{x$$a}"),
    ],
)
def test_anything_else_is_plain_text(text: str) -> None:
    assert not holds_choices(text) and drawn(text) == text


def test_a_weight_says_how_often() -> None:
    counts = Counter(drawn("{3::a|b|0.5::c|0::d}", seed) for seed in range(5000))
    assert counts.keys() == {"a", "b", "c", "0::d"}, "nothing is never drawn"
    shares = {word: counts[word] / 5000 * 5.5 for word in counts}
    assert all(abs(shares[word] - weight) < 0.25 for word, weight in (("a", 3), ("b", 1), ("c", 0.5)))


def test_what_is_drawn_never_changes() -> None:
    """Written down: a recipe names the version of the drawing, and this is the first."""
    assert [Dice(7).roll(1000), Dice(2**32 - 1).roll(1000)] == [571, 138]
    assert drawn("{red|green|blue} {2$$x|y|z} __pet__ {3::a|b}", 1234) == "blue x, y big dog a"
    assert [drawn("{red|green|blue}", seed) for seed in range(6)] == ["green", "red", "green", "blue", "red", "red"]


def test_an_earlier_choice_does_not_depend_on_a_later_one() -> None:
    assert drawn("{a|b|c} {d|e|f} x", 5).split()[:2] == drawn("{a|b|c} {d|e|f} __pet__", 5).split()[:2]


@pytest.mark.parametrize(
    ("text", "lists", "wrong"),
    [
        ("__cat__", LISTS, UnknownWordListError),
        ("__a__", {"a": ("__b__",), "b": ("x __a__",)}, WordListLoopError),
        ("{a|b}" * (MAX_DRAWS + 1), {}, TooManyDrawsError),
        ("__a__", {"a": ("__b__ " * 20,), "b": ("{x|y}" * 20,)}, TooManyDrawsError),
        ("__0__", {str(n): (f"__{n + 1}__",) for n in range(20)}, ChoicesTooDeepError),
        ("{a|" * (MAX_DEPTH + 1) + "b" + "}" * (MAX_DEPTH + 1), {}, ChoicesTooDeepError),
    ],
)
def test_beyond_the_bounds_it_is_refused(text: str, lists: Lists, wrong: type[InvalidRequestError]) -> None:
    with pytest.raises(wrong):
        drawn(text, 0, lists)


SIGNS = st.text(st.sampled_from("{}|$_:\\-, ab12"), max_size=120) | st.lists(
    st.sampled_from(["{", "}", "|", "2$$", "__a__", "__b__", "3::", "x", "\\", "<lora:a:1>"]), max_size=300
).map("".join)


@given(
    SIGNS, st.dictionaries(st.sampled_from("ab"), st.lists(SIGNS, min_size=1, max_size=3)), st.integers(0, 2**32 - 1)
)
def test_any_text_is_drawn_or_refused_and_stays_bounded(text: str, lists: dict[str, list[str]], seed: int) -> None:
    dice = Dice(seed)
    try:
        made = draw(text, lists, dice)
    except InvalidRequestError:
        return
    longest = max((len(line) for lines in lists.values() for line in lines), default=0)
    assert len(made) <= len(text) + MAX_DRAWS * (longest + 1) and dice.num_rolls <= MAX_DRAWS
    assert made == draw(text, lists, Dice(seed))
    if not holds_choices(text):
        assert made == " ".join(text.split())


@pytest.mark.parametrize("text", ["{" * 4000, "{" * 2000 + "__a__ " * 333, "{" * 2000 + "}" * 2000, "|" * 4000])
def test_a_wall_of_signs_is_read_in_one_pass(text: str) -> None:
    if not holds_choices(text):
        assert drawn(text) == text.strip()


def test_each_picture_is_drawn_by_its_own_seed() -> None:
    request = draw_prompts(ask("a {b|c|d} __pet__", "{x|y}", count=4, seed=9), MODEL, LISTS)
    specs = list(request.images())
    assert request.spec.prompt == "a {b|c|d} __pet__" and not request.is_undrawn
    for spec in specs:
        [alone] = draw_prompts(ask("a {b|c|d} __pet__", "{x|y}", seed=spec.seed), MODEL, LISTS).images()
        assert alone == spec
    assert len({spec.prompt for spec in specs}) > 1
    assert draw_prompts(request, MODEL, {}) == request, "what is drawn is drawn once"
    texts = collect_texts(request, default_model="toy")
    assert {spec.prompt for spec in specs} | {spec.negative for spec in specs} | {request.spec.prompt} <= set(texts)
    assert msgspec.json.decode(msgspec.json.encode(request), type=GenerationRequest) == request


def test_what_is_drawn_calls_lora() -> None:
    model = toy_model(
        Path("n"), loras=tuple(PromptAddon(name=n, path=Path(n), sha256="a" * 64) for n in ("ink", "neon"))
    )
    written = write_prompts(model, "a {<lora:ink:0.5> b|<lora:neon> c}", "", ["neon:0.2"])
    assert written["prompt"] == "a {<lora:ink:0.5> b|<lora:neon> c} <lora:neon:0.2>"
    written = write_prompts(model, "a {<lora:ink:0.5> b|<lora:neon> c}")
    request = draw_prompts(GenerationRequest(spec=replace(SPEC, **written), count=4), model, {})
    called = {(spec.prompt, spec.adapters) for spec in request.images()}
    assert called == {("a b", (Adapter("ink", "a" * 64, 0.5),)), ("a c", (Adapter("neon", "a" * 64, 1.0),))}


def test_a_prompt_without_choices_is_written_as_before() -> None:
    request = ask(r"a \{b|c\} {d}")
    assert not request.is_undrawn and draw_prompts(request, MODEL, {}) is request
    assert b"template" not in msgspec.json.encode(request) and b"drawn" not in msgspec.json.encode(request)
    assert parse_weights(r"a \{b|c\} \__d__", 3) == [("a {b|c} __d__", 1.0)]
    assert parse_weights(r"a \{b|c\}", 2) == [(r"a \{b|c\}", 1.0)], "an older prompt keeps its reading"
    assert list_prompt_notes(ask(r"a \{b\} \__d__").spec) == ()


def test_requests_from_pictures_that_were_drawn() -> None:
    request = draw_prompts(ask("a {b|c|d}", "{x|y}", count=2), MODEL, LISTS)
    job = job_of(request)
    again = reroll(job, seed=5)
    assert again.is_undrawn and (again.spec.prompt, again.spec.negative) == ("a {b|c|d}", "{x|y}")
    picture = job.images[1]
    near = vary(picture, seed=5)
    assert not near.is_undrawn and near.spec.prompt == picture.spec.prompt and not near.spec.template
    wishes = get_remix_options(job)
    assert (wishes.prompt, wishes.negative) == ("a {b|c|d}", "{x|y}")
    plain = RemixOptions(prompt="just b", negative="", guidance=3.0, seed=1)
    assert not remix(job, plain, MODEL).spec.template
    assert replace_prompt(picture.spec, MODEL, "a {b|c}").template
    made = Recipe(
        spec=picture.spec, model_sha256="c" * 64, trace="2x4", fingerprint=Fingerprint({}), pixels_sha256="a" * 64
    )
    reproduced = GenerationRequest(spec=made.spec)
    assert reroll(job_of(reproduced), seed=5).spec.prompt == "a {b|c|d}"
    assert get_remix_options(job_of(reproduced)).prompt == "a {b|c|d}"
    assert not reuse_settings(made, MODEL).is_undrawn
    with pytest.raises(OutOfRangeError):
        replace(request, count=3)


def test_what_is_made_of_a_picture_keeps_its_words() -> None:
    request = draw_prompts(ask("a {b|c|d}", "{x|y}"), MODEL, LISTS)
    picture = replace(job_of(request).images[0], file_sha256="f" * 64)
    for made in (
        vary(picture, seed=5),
        vary_strongly(picture, seed=5),
        enlarge(picture),
        zoom_out(picture, 1.5, seed=5),
        outpaint(picture, Margins(left=8), seed=5),
        apply_hires_fix(picture),
    ):
        assert not made.is_undrawn and not made.spec.template
        assert (made.spec.prompt, made.spec.negative) == (picture.spec.prompt, picture.spec.negative)


# Lists of a server.


def test_lists_are_bounded() -> None:
    line = "word " * 30 + "x"
    refused: tuple[tuple[dict[str, tuple[str, ...]], type[InvalidRequestError]], ...] = (
        ({f"a{n}": ("x",) for n in range(MAX_LISTS + 1)}, TooManyWordListsError),
        ({"a": tuple(str(n) for n in range(MAX_LINES + 1))}, WordListTooLongError),
        ({"a": (line,) * 27}, WordListCharsError),
        ({"a": ("😀" * (MAX_CHARS // 2 + 1),)}, WordListCharsError),
        ({f"a{n}": (line,) * 25 for n in range(6)}, WordListsTooLargeError),
        ({"a b": ("x",)}, WordListNameError),
        ({"A": ("x",)}, WordListNameError),
        ({"a": ("{a|" * 9 + "}" * 9,)}, ChoicesTooDeepError),
    )
    for lists, wrong in refused:
        with pytest.raises(wrong):
            GuildPreferences(word_lists=lists)
    GuildPreferences(word_lists={f"a{n}": (line,) * 25 for n in range(5)})


def test_names_and_lines_as_people_type_them() -> None:
    assert clean_name(" __Käse-Sorten__ ") == "käse-sorten"
    for typed in ("", "__", "a__b", "a b", "-a", "x" * 33, "a|b"):
        with pytest.raises(WordListNameError):
            clean_name(typed)
    assert clean_lines(" a  b \n\n a b\r\nc\u202e") == ("a b", "c")


@given(st.text(max_size=40))
def test_any_name_that_is_kept_can_be_drawn_from(typed: str) -> None:
    try:
        name = clean_name(typed)
    except WordListNameError:
        return
    assert drawn(f"a __{name}__ b", 0, {name: ("c",)}) == "a c b"
