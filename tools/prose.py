"""Count the words of the sentences of a page: `python tools/prose.py [PAGE ...]`.

A text is read as a person reads it aloud: an item of a list, a heading and a cell of a table each end what they say.
Code is one word. Blocks of code and headings are no prose, and cells of fewer than six words are no sentences.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LIMIT = 20.0
_BLOCK = re.compile(r"^ *```.*?^ *```", re.M | re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ITEM = re.compile(r"^ *(?:[-*]|\d+\.) ")
_END = re.compile(r"(?<=[.!?])[)*_”\"]*\s+(?=\S)")
_LEAST_WORDS = 6


def list_sentences(text: str) -> list[str]:
    """Return the sentences of a page."""
    text = _COMMENT.sub("", _BLOCK.sub("\n\n", text))
    text = _LINK.sub(r"\1", _CODE.sub("code", text))
    parts = [sentence for passage in _list_passages(text) for sentence in _END.split(passage)]
    return [part.strip() for part in parts if len(part.split()) >= _LEAST_WORDS]


def _list_passages(text: str) -> list[str]:
    """Return paragraphs, items and cells, each on one line."""
    passages = [""]
    for line in text.splitlines():
        if line.startswith("|"):
            passages += [*line.strip("| ").split(" | "), ""]
        elif not line.strip() or line.startswith(("#", "    ")) or _ITEM.match(line):
            passages.append("" if line.startswith(("#", "    ")) else _ITEM.sub("", line))
        else:
            passages[-1] += f" {line.strip()}"
    return passages


def average_words(text: str) -> float:
    """Return how many words a sentence of a page has on average, 0 if it has none."""
    sentences = list_sentences(text)
    return sum(len(each.split()) for each in sentences) / max(len(sentences), 1)


def main(names: list[str]) -> int:
    """Print each page's average, and the longest sentences of those beyond the limit."""
    is_well = True
    for path in map(Path, names or sorted(map(str, Path().glob("**/docs/*.md")))):
        text = path.read_text(encoding="utf-8")
        average = average_words(text)
        sys.stdout.write(f"{average:5.1f} {path}\n")
        if average > LIMIT:
            is_well = False
            longest = sorted(list_sentences(text), key=lambda each: -len(each.split()))[:5]
            sys.stdout.writelines(f"      {len(each.split())}: {each}\n" for each in longest)
    return int(not is_well)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
