"""Measures screening of a prompt of 1,000 characters: 200 patterns of 200, `(a+)+$`, 1,000 words; beside Python's `re`.

Times are of the processor (`time.thread_time`), so that a busy machine does not count; `*_wall_ms` by the clock too.
`re` meets the same prompts and patterns, in their plain form only, but for the run of letters that `(a+)+$` trips
over: 22 of them here and 30 for us, because with 30 it would take minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence

from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import Rulebook

NUM_PATTERNS, PATTERN_CHARS, PROMPT_CHARS = 200, 200, 1000
NUM_WORDS = 1000
RUN, RE_RUN = 30, 22


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench rules", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--re-prompts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    result = measure(chosen.prompts, chosen.re_prompts, seed=chosen.seed)
    if not chosen.json:
        print(f"screening: p99 {result['p99_ms']:.2f} ms of processor time; re: {result['re_p99_ms']:.0f} ms")
    print(json.dumps(result))
    return 0


def measure(num_prompts: int, num_re_prompts: int, *, seed: int) -> dict[str, float]:
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(4000)]
    patterns = [*(_pattern(chance, words[2000:]) for _ in range(NUM_PATTERNS)), "(a+)+$"]
    listed = [Rule(text="".join(chance.choices("xyz", k=12))) for _ in range(NUM_WORDS)]
    book = Rulebook([*listed, *(Rule(kind=Kind.PATTERN, text=text) for text in patterns)])
    compiled = [re.compile(text, re.IGNORECASE) for text in patterns]
    ours = _times([_prompt(chance, words, RUN) for _ in range(num_prompts)], lambda prompt: book.screen([prompt]))
    theirs = _times(
        [_prompt(chance, words, RE_RUN) for _ in range(num_re_prompts)],
        lambda prompt: [each.search(prompt) for each in compiled],
    )
    return {
        "p50_ms": _percentile(ours[0], 0.5),
        "p99_ms": _percentile(ours[0], 0.99),
        "p99_wall_ms": _percentile(ours[1], 0.99),
        "re_p50_ms": _percentile(theirs[0], 0.5),
        "re_p99_ms": _percentile(theirs[0], 0.99),
        "num_patterns": len(patterns),
        "num_words": NUM_WORDS,
        "prompt_chars": PROMPT_CHARS,
        "num_prompts": num_prompts,
        "seed": seed,
    }


def _pattern(chance: random.Random, words: Sequence[str]) -> str:
    """Return alternatives as an administrator would write them: words, endings, a gap of some words, a class."""
    parts = [r"\b(?:" + chance.choice(words)]
    while sum(map(len, parts)) < PATTERN_CHARS - 30:
        ending = chance.choice(["", "s?", "(?:ing|ed)?", r"\s+\w+\s+" + chance.choice(words), "[0-9]+"])
        parts.append("|" + chance.choice(words) + ending)
    text = "".join(parts) + ")"
    return text + "x?" * ((PATTERN_CHARS - len(text) - 2) // 2) + r"\b"


def _prompt(chance: random.Random, words: Sequence[str], run: int) -> str:
    """Return words, some of them with digits, and at the end the run of `a` that has no end."""
    tail = " h3ll0 w0rld " + "a" * run + "!"
    text = ""
    while len(text) < PROMPT_CHARS:
        text += chance.choice(words[:2010]) + " "
    return text[: PROMPT_CHARS - len(tail)] + tail


def _times(prompts: Sequence[str], work: Callable[[str], object]) -> tuple[list[float], list[float]]:
    """Return the milliseconds of processor time, and by the clock, for each prompt."""
    cpu, wall = [], []
    for prompt in prompts:
        cpu_from, wall_from = time.thread_time(), time.perf_counter()
        work(prompt)
        cpu.append(1000 * (time.thread_time() - cpu_from))
        wall.append(1000 * (time.perf_counter() - wall_from))
    return cpu, wall


def _percentile(times: Sequence[float], part: float) -> float:
    return round(sorted(times)[min(len(times) - 1, int(part * len(times)))], 3)
