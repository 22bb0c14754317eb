"""The tokenizer's files and the list of unknown words."""

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from generation.paintbox.vocabulary import WORDS_FILE, find_unknown_words, suggest_known_words
from training.paintbox import captions, tokens


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokens.write_tokenizer(folder, captions.words())
    return CLIPTokenizer.from_pretrained(folder)


def test_each_known_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    assert [tokenizer.tokenize(word) for word in captions.words()] == [[f"{w}</w>"] for w in captions.words()]


def test_capitals_and_unknown_words_still_tokenise(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer("A RED Circle").input_ids == tokenizer("a red circle").input_ids
    pieces = tokenizer.tokenize("zebra 中")
    assert "".join(pieces).startswith("zebra</w>")
    assert tokenizer.unk_token_id not in tokenizer("zebra 中", add_special_tokens=False).input_ids


def test_prompts_are_framed_and_padded_like_clip(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("a red star", padding="max_length", max_length=77, truncation=True).input_ids
    assert len(ids) == 77
    assert ids[0] == len(tokenizer) - 2
    assert set(ids[4:]) == {len(tokenizer) - 1}


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("three small yellow stars over the sea at night, pixel art", ()),
        ("A RED circle", ()),
        ("a (dragon:1.2) eating a red cat, Dragon", ("dragon", "eating")),
        ("", ()),
        ("ein rotes Haus", ("ein", "rotes", "haus")),
        ("42 cats", ("42",)),
    ],
)
def test_unknown_words_are_named_once_in_order(prompt: str, unknown: tuple[str, ...]) -> None:
    assert find_unknown_words(prompt) == unknown


def test_the_words_at_run_time_are_those_of_the_training(tmp_path: Path) -> None:
    captions.write_words(tmp_path / "words.json")
    assert (tmp_path / "words.json").read_text("utf-8") == WORDS_FILE.read_text("utf-8")


def test_every_suggestion_is_itself_known() -> None:
    suggested = [phrase for phrases in suggest_known_words().values() for phrase in phrases]
    assert len(suggested) > 30
    assert [find_unknown_words(phrase) for phrase in suggested] == [()] * len(suggested)


def test_the_bot_can_ask_without_loading_torch() -> None:
    code = (
        "import sys, generation.paintbox.vocabulary as v; v.find_unknown_words('x'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
