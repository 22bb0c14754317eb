"""The word list that llama.cpp keeps in a GGUF file of a Qwen3, as the files that a tokenizer has. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from generation.models.gguf_header import SUFFIX, read_gguf, read_gguf_lists

_ITS = "tokenizer.ggml."
_TOKENS, _TYPES, _MERGES = f"{_ITS}tokens", f"{_ITS}token_type", f"{_ITS}merges"
_KNOWN = {f"{_ITS}model": "gpt2", f"{_ITS}pre": "qwen2"}
"""How its words are found: any other way gives other tokens."""
_PLAIN, _CONTROL, _ADDED = 1, 3, 4
_END, _PADDING = f"{_ITS}eos_token_id", f"{_ITS}padding_token_id"


def read_gguf_words(file: Path) -> Mapping[str, bytes]:
    """Return the files of a tokenizer by their name; none for a file that has no such word list.

    Raise `ValueError` if the file cannot be read.
    """
    if file.suffix != SUFFIX:
        return {}
    said = read_gguf(file)[1]
    lists = read_gguf_lists(file, _TOKENS, _TYPES, _MERGES)
    tokens, types = lists[_TOKENS], lists[_TYPES]
    if any(said.get(name) != value for name, value in _KNOWN.items()) or not tokens or len(tokens) != len(types):
        return {}
    kinds = list(enumerate(zip(tokens, types, strict=True)))
    words = {token: index for index, (token, kind) in kinds if kind == _PLAIN}
    added = {str(at): _describe(token, kind) for at, (token, kind) in kinds if kind in (_CONTROL, _ADDED)}
    settings = {"tokenizer_class": "Qwen2Tokenizer", "unk_token": None, "added_tokens_decoder": added}
    settings |= {"eos_token": _find(said, _END, tokens), "pad_token": _find(said, _PADDING, tokens)}
    return {
        "vocab.json": json.dumps(words, ensure_ascii=False).encode(),
        "merges.txt": "\n".join(("#version: 0.2", *lists[_MERGES], "")).encode(),
        "tokenizer_config.json": json.dumps(settings, ensure_ascii=False).encode(),
    }


def _describe(token: str, kind: int) -> dict[str, object]:
    """Return a mark that is looked for in the text as it stands, before it is cut into words."""
    whole = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {"content": token, "special": kind == _CONTROL, **whole}


def _find(said: Mapping[str, str], name: str, tokens: list[str]) -> str | None:
    number = said.get(name, "")
    return tokens[int(number)] if number.isdecimal() and int(number) < len(tokens) else None
