"""Every message fits into what Discord takes, in every language; what has no room is on a page or in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest
from discord import app_commands, ui
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import cogs
from cogs.common.forms import File, Form, Pick, Text
from cogs.common.lora_option import build_choices
from cogs.common.message_limits import IN_A_FILE, MAX_OPTIONS, cut_text, fit_message, fit_text, measure_text
from cogs.common.messages import Action, Entry, Gallery, Lines, Long, MessageSpec, Picture
from cogs.common.modals import build_modal
from cogs.common.plain_text import build_files, build_plain
from cogs.common.rendering import _read_pictures, render_edit, render_new
from cogs.common.submission_notes import format_warnings
from cogs.common.transformers import filter_choices
from cogs.delivery._notify import build_mention, build_nonce, split_batches
from cogs.i18n.gettext import _, list_languages, use_language
from cogs.registered import load_offline_bot
from cogs.results._form_fields import (
    NONE,
    build_guidance_field,
    build_number_field,
    build_seed_field,
    build_strength_field,
)
from cogs.settings._field_kinds import Installed
from cogs.settings._fields import MODELS
from cogs.settings._views import list_offered
from generation.requests.ranges import MAX_GUIDANCE, MAX_SEED
from generation.rules.rule import Rule
from tests.cogs.judging import wrongs_of_choices, wrongs_of_modal, wrongs_of_text, wrongs_of_view
from tests.cogs.layout import build_by_discord
from tests.cogs.messages import MESSAGES, SIGNS, Draw, many, picture, text
from tests.messages import is_said

COGS = Path(cogs.__file__).parent
OTHER_SAYS = {
    "moderation._cog._build_pictures",
    "results._result.build_result_message",
    "results._result._build_message",
    "common.message_limits.fit_message",
}
"""Take a message apart, or hand on one that another function made."""
LANGUAGES = [
    "en",
    "de",
    *(pytest.param(each, marks=pytest.mark.long) for each in sorted({*list_languages()} - {"en", "de"})),
]
"""German is the longest."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=10, phases=[Phase.generate])
@given(data=st.data())
def test_every_message_is_within_every_limit(name: str, language: str, data: st.DataObject) -> None:
    with use_language(language):
        made = MESSAGES[name](data.draw)
        if isinstance(made, ui.LayoutView):
            assert wrongs_of_view(made, []) == []
            return
        page = data.draw(st.sampled_from((0, 1, 10**6)))
        sent, edit = render_new(made, page), render_edit(made, page)
        assert wrongs_of_view(sent["view"], sent["files"]) == []
        assert edit["view"].to_components() == sent["view"].to_components()
        assert sent["view"].to_components() == build_by_discord(_read_pictures(fit_message(made, page)))
        assert len(edit["attachments"]) == len(sent["files"])


def block(draw: Draw) -> object:
    kind = draw(st.sampled_from((str, Gallery, Entry, Long, Long)))
    words, alt = text(draw, 12_000), text(draw, 3000)
    if kind is Gallery:
        return Gallery((Picture("a.png", b"png", alt),))
    if kind is Entry:
        return Entry(words or "x", Picture("b.png", b"png", alt))
    return words if kind is str else Long(words or "x", "long.txt", alt, is_code=draw(st.booleans()))


@settings(max_examples=60)
@given(st.data())
def test_any_message_at_all_is_made_to_fit(data: st.DataObject) -> None:
    draw = data.draw
    blocks = [block(draw) for _n in range(draw(st.integers(1, 6)))]
    lines = many(draw, 3000, lambda number: f"{number} {words}") if (words := text(draw, 200)) else ()
    if lines:
        blocks.insert(draw(st.integers(0, len(blocks))), Lines(lines, "rules"))
    pictures = {each.filename: each for each in MessageSpec(blocks=tuple(blocks)).pictures()}  # type: ignore[arg-type]
    if not any(isinstance(each, Gallery | Entry) or each for each in blocks):
        return
    say = MessageSpec(blocks=(*blocks, "end"))  # type: ignore[arg-type]
    page = draw(st.integers(0, 99))
    sent = render_new(say, page)
    assert sent["view"].to_components() == build_by_discord(fit_message(say, page))
    unique = {file.filename: file for file in sent["files"]}
    assert len(unique) >= len(pictures)
    assert wrongs_of_view(sent["view"], list(unique.values())) == []


@settings(max_examples=20)
@given(st.data())
def test_the_pages_of_a_list_show_every_line_once(data: st.DataObject) -> None:
    words = text(data.draw, 150)
    lines = many(data.draw, 500, lambda number: f"{number}: {words}")
    beside = text(data.draw, 3000, 1)
    shown: list[str] = []
    for page in range(1000):
        parts = fit_message(MessageSpec(blocks=("above", Lines(lines, "rules"), beside)), page)
        listed = [part for part in parts.blocks if isinstance(part, str) and part.startswith(f"{len(shown)}: ")]
        shown += "\n".join(listed).split("\n") if "\n" not in words and listed else []
        if f"rules:{page + 1}" not in [button.subject for row in parts.rows for button in row]:
            break
    if "\n" not in words:
        assert shown == list(lines)


def test_text_beyond_the_limit_is_whole_in_the_file() -> None:
    whole = "a ``b`` 😀 " * 2000
    say = fit_message(MessageSpec(blocks=("head", Long(whole, "recipe.txt", "The recipe", is_code=True))))
    assert [each.data.decode() for each in say.attached] == [whole]
    assert is_said(IN_A_FILE, str(say.blocks[1]), name="`recipe.txt`")
    shown, files = fit_text("😀" * 1001)
    assert [each.data.decode() for each in files] == ["😀" * 1001]
    assert "`text.txt`" in shown


def test_a_short_message_is_left_as_it_is() -> None:
    say = MessageSpec(blocks=("a" * 2000, "b" * 2000))
    assert fit_message(say) == say
    assert fit_text("c" * 2000) == ("c" * 2000, ())
    assert fit_message(MessageSpec(blocks=(Lines(("a", "b"), "rules"),))) == MessageSpec(blocks=("a\nb",))


@pytest.mark.parametrize("number", range(11))
def test_a_long_text_beside_many_pictures_takes_no_eleventh_file(number: int) -> None:
    gallery = (Gallery(tuple(map(picture, range(number)))),) if number else ()
    sent = render_new(MessageSpec(blocks=("a" * 3000, "b" * 3000, *gallery)))
    assert wrongs_of_view(sent["view"], sent["files"]) == []
    texts = [file.filename for file in sent["files"] if file.filename.endswith(".txt")]
    assert len(texts) == min(2, 10 - number)


@given(st.data())
def test_text_is_cut_between_characters_only(data: st.DataObject) -> None:
    words, limit = text(data.draw, 300), data.draw(st.integers(1, 300))
    shown = cut_text(words, limit)
    assert measure_text(shown) <= limit
    assert shown == words or (shown.endswith("…") and words.startswith(shown[:-1]))
    assert cut_text("e\u0301" * 3, 5) == "e\u0301e\u0301…"
    assert cut_text("👩\u200d👩\u200d👧" * 2, 10) == "👩\u200d👩\u200d👧…"
    assert cut_text("😀😀", 3) == "😀…"


# What is not made of components.


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("length", [1, 1999, 2000, 2001, 20_000])
def test_plain_text_of_any_length_can_be_sent(sign: str, length: int) -> None:
    sent = build_plain(sign * length)
    assert wrongs_of_text(sent["content"], sent["files"]) == []


@pytest.mark.parametrize("language", list_languages())
def test_warnings_of_many_rules_are_shown_in_full(language: str) -> None:
    rules = [Rule(text="x", reason=f"{number} {'😀' * 190}") for number in range(50)]
    with use_language(language):
        said = format_warnings(rules)
        sent = build_plain(said)
    assert wrongs_of_text(sent["content"], sent["files"]) == []
    assert build_files(fit_text(said)[1])[0].fp.read().decode() == said


@pytest.mark.parametrize("language", list_languages())
@pytest.mark.parametrize("number", [0, 1, 79, 80, 81, 96, 1000])
def test_every_user_to_notify_is_mentioned_once(number: int, language: str) -> None:
    members = [2**63 - 1 - each for each in range(number)]
    groups = split_batches(members)
    assert [each for group in groups for each in group] == members
    for group in groups:
        with use_language(language):
            said = build_mention(group)
        assert wrongs_of_text(said, [], build_nonce("j" * 22, group[0], mark="@")) == []
        assert len(group) <= 100  # Discord notifies no more by their ids
    nonces = {build_nonce("j" * 22, each, mark=mark) for each in members for mark in "@."}
    assert len(nonces) == 2 * number and all(len(each) <= 25 for each in nonces)


@settings(max_examples=20)
@given(st.data())
def test_autocomplete_choices_fit(data: st.DataObject) -> None:
    name, value = text(data.draw, 3000, 1), text(data.draw, 150)
    offered = filter_choices(list(many(data.draw, 60, lambda number: (f"{number}{name}", f"{number}{value}"))), "")
    assert wrongs_of_choices(offered) == []


@settings(max_examples=40)
@given(st.data())
def test_every_form_fits_and_keeps_its_text(data: st.DataObject) -> None:
    draw, title, label = data.draw, text(data.draw, 60, 1), text(data.draw, 60, 1)
    value = text(draw, 2000)
    line = Text(key="a", label=label, value=value, hint=text(draw, 150), is_long=True, max_chars=1500)
    pick = Pick(key="b", label=label, choices=tuple((f"{n}", f"{n}") for n in range(9)), hint=text(draw, 150))
    form = Form(action=Action.REMIX, subject="j" * 24, title=title, fields=(line, pick, File(key="c", label=label)))
    modal = build_modal(form)
    assert wrongs_of_modal(modal) == []
    field = modal.to_dict()["components"][0]["component"]
    assert (field.get("value") or "") == value
    assert measure_text(value) <= field["max_length"]


@pytest.mark.parametrize("language", list_languages())
@settings(max_examples=30, phases=[Phase.generate])
@given(
    strength=st.none() | st.floats(0, 1, exclude_min=True),
    guidance=st.floats(0, MAX_GUIDANCE),
    seed=st.integers(0, MAX_SEED),
    most=st.integers(2, 10),
)
def test_a_form_offers_what_is_set_now_to_the_last_bit(
    language: str, strength: float | None, guidance: float, seed: int, most: int
) -> None:
    with use_language(language):
        fields = (
            build_strength_field(strength),
            build_guidance_field(guidance),
            build_seed_field(seed),
            build_number_field(most),
        )
        modal = build_modal(Form(action=Action.REMIX, subject="j" * 24, title="a", fields=fields))
    assert wrongs_of_modal(modal) == []
    chosen = [
        option["value"]
        for line in modal.to_dict()["components"]
        for option in line["component"]["options"]
        if option.get("default")
    ]
    assert chosen[0] == NONE if strength is None else float(chosen[0]) == strength
    assert (float(chosen[1]), int(chosen[2]), chosen[3]) == (guidance, seed, "1")


# What is said nowhere else.


def named(path: Path, function: str) -> str:
    return ".".join((*path.relative_to(COGS).with_suffix("").parts, function))


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _calls(node: ast.AST, *names: str) -> list[ast.Call]:
    def name(call: ast.Call) -> str:
        return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")

    return [each for each in ast.walk(node) if isinstance(each, ast.Call) and name(each) in names]


def test_every_message_builder_is_known_to_the_test_above() -> None:
    """A new message builder must be added to `messages.py`."""
    found = set()
    for path in COGS.rglob("*.py"):
        for function in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            returns = ast.unparse(function.returns) if function.returns is not None else ""
            is_pure = isinstance(function, ast.FunctionDef) and returns in ("MessageSpec", "ui.LayoutView")
            if is_pure or _calls(function, "MessageSpec"):
                found.add(named(path, function.name))
    helpers = {f"common.rendering.{name}" for name in ("_read_pictures", "create_view")}
    known = {name.partition(":")[0] for name in MESSAGES}
    assert found - OTHER_SAYS - helpers - known == set(), "unknown to the test"
    assert known - found == set(), "known, but gone"


ARGUMENTS = {"render_new", "render_edit", "build_plain"}
SENT_OTHERWISE = {
    "delivery._progress._edit": "the poster's `edit`, kept there",
    "onboarding._cog.greet_guild": "the set-up message, judged above",
    "common.modals.open_form": "a form, judged above",
    "moderation._cog._apply_decision": "what `_build_next` made",
    "moderation._cog.review": "what `_build_next` made",
    "common.components.reset_menu": "a message as Discord gave it",
    "settings._cog.handle_style_form": "the panel, judged above",
    "settings._cog.settings": "the panel, judged above",
    "settings._cog.handle_component": "the panel, judged above",
}


def test_every_message_goes_through_the_budget() -> None:
    """Every sent or edited message comes from `render_new`, `render_edit` or `build_plain`."""
    sends = ("send", "send_message", "edit", "edit_message", "edit_original_response", "send_modal")
    found = set()
    for path in COGS.rglob("*.py"):
        for function in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            for call in _calls(function, *sends):
                says = any(keyword.arg in ("view", "content", "files", "attachments") for keyword in call.keywords)
                starred = [keyword.value for keyword in call.keywords if keyword.arg is None]
                is_kept = any(_calls(each, *ARGUMENTS) for each in starred)
                if (says or call.args or starred) and not is_kept:
                    found.add(named(path, function.name))
    assert found == set(SENT_OTHERWISE)


# Texts of fixed length.


FORM_LIMITS = {"title": 45, "label": 45, "hint": 100, "placeholder": 150}


def _assigned(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Return what is given to each name of a module, in pairs where several are given at once."""
    found: dict[str, list[ast.expr]] = {}
    for node in (each for each in ast.walk(tree) if isinstance(each, ast.Assign)):
        for target in node.targets:
            pairs: Iterable[tuple[ast.expr, ast.expr]] = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=False)
            for name, value in pairs:
                if isinstance(name, ast.Name):
                    found.setdefault(name.id, []).append(value)
    return found


def _texts_of_forms() -> set[tuple[str, str]]:
    """Return each text that a form shows in a place of limited length, also by the name of a constant or variable."""
    found = set()
    for path in COGS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assigned = _assigned(tree)
        for call in _calls(tree, "Form", "Text", "Pick", "Choice", "File", "Select"):
            for keyword in call.keywords:
                named = [node.id for node in ast.walk(keyword.value) if isinstance(node, ast.Name)]
                values = [keyword.value, *(value for name in named for value in assigned.get(name, ()))]
                words = [each.args[0] for value in values for each in _calls(value, "_", "N_")]
                found |= {(str(keyword.arg), word.value) for word in words if isinstance(word, ast.Constant)}
    return {(place, text) for place, text in found if place in FORM_LIMITS}


@pytest.mark.parametrize("language", list_languages())
def test_titles_labels_and_hints_of_forms_are_never_cut(language: str) -> None:
    texts = _texts_of_forms()
    assert {("label", "What to avoid"), ("label", "Which parts"), ("title", "Alt text")} <= texts, (
        "named, plain, in pairs"
    )
    with use_language(language):
        assert [_(text) for place, text in texts if measure_text(_(text)) > FORM_LIMITS[place]] == []


# Menus.


def test_a_menu_always_holds_what_is_chosen_and_says_how_many_it_leaves_out() -> None:
    models = [f"model-{number:02}" for number in range(30)]
    chosen = [*models[26:], "a model that is gone"]
    offered, left_out = list_offered(MODELS, chosen, Installed(models))
    values = [value for _label, value in offered]
    assert len(values) == 25
    assert set(chosen) < set(values)
    assert left_out == 30 - 24
    assert list_offered(MODELS, [], Installed(models[:25]))[1] == 0


# Commands.

OFFLINE = load_offline_bot()


@pytest.mark.parametrize("language", list_languages())
def test_command_descriptions_fit_in_every_language(language: str) -> None:
    """Descriptions and choices: 1 to 100; what is shown in the menu of a message: 1 to 32."""

    def said(text: object) -> str:
        with use_language(language):
            return _(str(text))

    found = []
    for command in OFFLINE.tree.walk_commands():
        found.append(said(command.description))
        for option in command.parameters if isinstance(command, app_commands.Command) else ():
            found += [said(option.description), *(said(choice.name) for choice in option.choices)]
    assert len(found) > 100
    assert [each for each in found if not 1 <= measure_text(each) <= 100] == []
    assert [menu.name for menu in OFFLINE.context_menus if not 1 <= measure_text(said(menu.name)) <= 32] == []


def test_no_command_has_more_options_than_discord_takes() -> None:
    counts = {
        command.qualified_name: len(command.parameters)
        for command in OFFLINE.tree.walk_commands()
        if isinstance(command, app_commands.Command)
    }
    assert counts["imagine"] >= 15
    assert {name: number for name, number in counts.items() if number > MAX_OPTIONS} == {}


@settings(max_examples=20)
@given(st.data())
def test_completed_lora_fit(data: st.DataObject) -> None:
    value, note = text(data.draw, 100, 1), text(data.draw, 600)
    offered = build_choices((f"{number:02}{value[:98]}", note) for number in range(60))
    assert wrongs_of_choices(offered) == []
