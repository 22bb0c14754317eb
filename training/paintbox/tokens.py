"""The tokenizer's two files, made from the words of the captions: every known word is one token.

Byte-pair merges are learnt on the word list itself until each word is whole. Applied in that order they rebuild each
word exactly, and any other word still falls apart into pieces or letters that have tokens of their own.
"""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
CONTEXT_TOKENS: Final = 77

_Symbols = tuple[str, ...]


def byte_symbols() -> list[str]:
    """Return the 256 printable stand-ins for bytes that CLIP's tokenizer uses, in its order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the merges, in order, that turn each word into the one symbol `word</w>`."""
    split: list[_Symbols] = [(*word[:-1], f"{word[-1]}</w>") for word in words]
    merges = []
    while pairs := Counter(pair for symbols in split for pair in pairwise(symbols)):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        split = [_merge(symbols, best) for symbols in split]
    return merges


def _merge(symbols: _Symbols, pair: tuple[str, str]) -> _Symbols:
    merged: list[str] = []
    index = 0
    while index < len(symbols):
        if symbols[index : index + 2] == pair:
            merged.append(pair[0] + pair[1])
            index += 2
        else:
            merged.append(symbols[index])
            index += 1
    return tuple(merged)


def vocabulary(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return token to id, in CLIP's order: bytes, word-ending bytes, merges, start, end."""
    letters = byte_symbols()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(a + b for a, b in merges), START, END]
    return {token: index for index, token in enumerate(tokens)}


def write_tokenizer(folder: Path, words: Sequence[str]) -> int:
    """Write a CLIPTokenizer folder with vocab.json and merges.txt; the number of tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(words)
    table = vocabulary(merges)
    (folder / "vocab.json").write_text(json.dumps(table, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", "utf-8")
    config = special | {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": CONTEXT_TOKENS,
        "do_lower_case": True,
        "add_prefix_space": False,
        "errors": "replace",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    return len(table)
