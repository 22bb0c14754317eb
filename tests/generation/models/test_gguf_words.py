"""The word list in a GGUF file gives the tokens of the tokenizer it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
from gguf import GGMLQuantizationType as Kind
from tokenizers import pre_tokenizers
from transformers import Qwen2TokenizerFast

from cli import models as command
from generation.errors import ConfigurationError
from generation.models.gguf_words import read_gguf_words
from generation.models.registry import ModelRegistry
from generation.models.verify import verify
from tests.generation.engine.toy_flow import save_toy_zimage
from tests.generation.engine.toy_text import read_text, save_gguf_text
from tests.generation.engine.trial_here import require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
MERGES = ("h e", "he r", "Ġ c", "Ġc at", "a t", "c at")
MARKS = {"<|endoftext|>": 3, "<|im_start|>": 3, "<|im_end|>": 3, "<think>": 4}
PROMPTS = (
    "here, there",
    " cat cat  her",
    "<|im_start|>user\nher 123 ſcat<think>\n<|im_end|>",
    "e\u0301 é ½ 猫",
    "<think",
)


def token_list() -> dict[str, int]:
    """Return the tokens with their types, in order: bytes, what merges make, marks, and places that nothing has."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = [each.replace(" ", "") for each in MERGES]
    return {**dict.fromkeys(letters, 1), **dict.fromkeys(made, 1), **MARKS, "[PAD266]": 5}


def write_words(writer: Any, *, pre: str = "qwen2", types: bool = True) -> None:
    """Write them as llama.cpp does."""
    tokens = token_list()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(list(tokens))
    if types:
        writer.add_token_types(list(tokens.values()))
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(list(tokens).index("<|im_end|>"))
    writer.add_pad_token_id(list(tokens).index("<|endoftext|>"))


def save(file: Path, **options: Any) -> Path:
    writer = gguf.GGUFWriter(str(file), arch="qwen3")
    write_words(writer, **options)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    return file


def test_tokens_are_those_of_the_tokenizer_it_was_made_of(tmp_path: Path) -> None:
    for name, data in read_gguf_words(save(tmp_path / "x.gguf")).items():
        (tmp_path / name).write_bytes(data)
    ours = Qwen2TokenizerFast.from_pretrained(tmp_path, local_files_only=True)
    tokens = token_list()
    plain = {token: index for index, (token, kind) in enumerate(tokens.items()) if kind == 1}
    theirs = Qwen2TokenizerFast(
        vocab=plain,
        merges=[tuple(each.split(" ")) for each in MERGES],
        unk_token=None,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
    )
    theirs.add_tokens(list(MARKS), special_tokens=True)
    back = dict(zip(theirs.get_added_vocab().values(), theirs.get_added_vocab(), strict=True))
    for prompt in PROMPTS:
        wanted = [list(tokens).index(back[each]) if each in back else each for each in theirs(prompt).input_ids]
        assert ours(prompt).input_ids == wanted, prompt
    assert ours.pad_token_id == list(tokens).index("<|endoftext|>")


@pytest.mark.parametrize("options", [{"pre": "llama-bpe"}, {"types": False}], ids=["cut otherwise", "no types"])
def test_a_list_of_another_kind_is_none(tmp_path: Path, options: dict[str, Any]) -> None:
    assert read_gguf_words(save(tmp_path / "x.gguf", **options)) == {}


def test_a_list_without_end_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "x.gguf")
    data, name = bytearray(file.read_bytes()), b"tokenizer.ggml.token_type"
    at = data.index(name) + len(name) + 8  # behind the types of an array and of what is in it
    data[at : at + 8] = (2**40).to_bytes(8, "little")
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"header does not end|too many things"):
        read_gguf_words(file)


def test_a_text_encoder_in_gguf_needs_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)
    folder, models_dir = save_toy_zimage(tmp_path), tmp_path / "models"
    weights = read_text(folder)
    file = save_gguf_text(weights, tmp_path / "with.gguf", Kind.Q8_0, write_words=write_words)
    entry = command.add(models_dir, str(file), say=lambda line: None)
    assert entry.config.startswith("settings/words-")
    assert set(entry.config_files) == {"vocab.json", "merges.txt", "tokenizer_config.json"}
    assert [each.problem for each in verify(models_dir)] == [""]
    without = save_gguf_text(weights, tmp_path / "without.gguf", Kind.Q8_0)
    with pytest.raises(ConfigurationError, match="There is no word list for a text encoder"):
        command.add(models_dir, str(without), say=lambda line: None)
    named = command.add(models_dir, str(file), say=lambda line: None, name="named", config=str(folder))
    assert named.config == str(folder / "tokenizer")
    assert len(ModelRegistry.read(models_dir).entries) == 2
