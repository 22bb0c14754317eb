"""A script that generates what it is asked for, without Discord: a peer of `side_by_side`. A program.

It prints `ready`, then reads a JSON list of requests a line and prints the seconds until each had its picture.
`python -m bench._script stock|batched|genai DTYPE`: one after another; those of equal settings together; by OpenVINO.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench._side_work import Request

MAX_BATCH = 8


def serve(paint: Callable[[Sequence[Request]], Any], requests: Sequence[Request], *, batch: int) -> list[float]:
    """Generate the oldest with up to `batch - 1` others of its settings, until none waits; return their waits in s."""
    started_s = time.perf_counter()
    waits_s = [0.0] * len(requests)
    line = list(enumerate(requests))
    while line:
        together = [each for each in line if each[1].settings == line[0][1].settings][:batch]
        paint([request for _, request in together])
        for number, _ in together:
            waits_s[number] = time.perf_counter() - started_s
        line = [each for each in line if each not in together]
    return waits_s


def main() -> None:
    mode, dtype = sys.argv[1:]
    painter = _open(mode, dtype)
    print("ready", flush=True)
    for said in sys.stdin:
        requests = [Request(**each) for each in json.loads(said)]
        print(json.dumps(serve(painter.paint, requests, batch=MAX_BATCH if mode == "batched" else 1)), flush=True)


def _open(mode: str, dtype: str) -> Any:
    if mode == "genai":
        from bench._genai import Genai

        return Genai(dtype)
    from bench._stock import Stock

    return Stock(dtype)


if __name__ == "__main__":
    main()
