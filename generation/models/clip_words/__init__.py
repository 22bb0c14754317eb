"""The vocabulary of CLIP's tokenizer, which every Stable Diffusion 1, 2 and XL shares. See `NOTICE.txt`."""

from __future__ import annotations

from pathlib import Path

_MERGES = Path(__file__).with_name("merges.txt")
START, END = "<|startoftext|>", "<|endoftext|>"
_PRINTABLE = (range(ord("!"), ord("~") + 1), range(ord("¡"), ord("¬") + 1), range(ord("®"), ord("ÿ") + 1))


def read_merges() -> str:
    """Return the content of CLIP's `merges.txt`: one pair of pieces a line, the most frequent first."""
    return _MERGES.read_text("utf-8")


def build_vocabulary() -> dict[str, int]:
    """Return the 49,408 ids of CLIP by piece: bytes, bytes at a word's end, merged pairs, and two marks.

    The order is that of OpenAI's tokenizer, whose list names the pairs alone.
    """
    characters = _list_byte_characters()
    merged = ["".join(line.split()) for line in read_merges().splitlines()[1:]]
    pieces = [*characters, *(f"{each}</w>" for each in characters), *merged, START, END]
    return {piece: index for index, piece in enumerate(pieces)}


def _list_byte_characters() -> list[str]:
    """Return a printable character for each of the 256 bytes: itself where it is printable, else one from 256 on."""
    printable = [code for codes in _PRINTABLE for code in codes]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + index) for index in range(others)]
