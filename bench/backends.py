"""`backends`: forwards and decodes of a model by each way to compute on a processor, in turn in one process.

Two engines or more of the same model take turns in every round; seconds are the least of all rounds, after one that
does not count. `torch` is torch as it comes, `packed` has packed weights of convolutions, `openvino` runs compiled.

    python -m bench backends [--json] [--model paintbox] [--shape sd15|sdxl] [--side 128] [--rows 2 4 8 16]
                             [--threads 1 2] [--rounds 15] [--dtype float32] [--backends torch packed]

Keys: `work`, a list of `rows` (0: a decode) and `threads` with `<backend>_ms`, `ratio` of the first over the last, and
`distance`, the largest difference of their numbers; `dtype`, `processor`, `model`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench._forwards import prepare_forward, take_turns
from bench._weights import add_options, name_chosen, open_chosen
from generation.errors import ConfigurationError

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from torch import Tensor

    from generation.engine.engine import Engine
    from generation.models.catalog import Model

_BACKENDS: dict[str, dict[str, Any]] = {
    "torch": {"packs_weights": False},
    "packed": {},
    "openvino": {"cpu_backend": "openvino"},
}


def main(argv: list[str]) -> int:
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        model = open_chosen(options, Path(folder))
        try:
            figures = _measure(model, options)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 2
    if not options.json:
        for each in figures["work"]:
            times = ", ".join(f"{backend} {each[f'{backend}_ms']:.1f} ms" for backend in options.backends)
            what = f"{each['rows']:2} rows" if each["rows"] else "a decode"
            print(f"{what} on {each['threads']} threads: {times}: {each['ratio']:.2f}")
    print(json.dumps(figures))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench backends")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    add_options(parser)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 4, 8, 16], help="rows of the forwards")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--backends", nargs="+", choices=_BACKENDS, default=["torch", "packed"])
    return parser.parse_args(argv)


def _measure(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    settings: dict[str, Any] = {"device": "cpu", "dtype": options.dtype, "max_rows": max(options.rows)}
    engines = [Engine([model], EngineSettings(**settings | _BACKENDS[name])) for name in options.backends]
    work = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for rows in (*options.rows, 0):
            runs = [_prepare(engine, model, rows, options.side) for engine in engines]
            seconds, outputs = take_turns(runs, options.rounds)
            work.append({"rows": rows, "threads": threads} | _describe(options.backends, seconds, outputs))
    facts = engines[0].fingerprint.facts
    for engine in engines:
        engine.close()
    return {
        "work": work,
        "dtype": facts["dtype"],
        "processor": facts["cpu_capability"],
        "model": name_chosen(options),
    }


def _prepare(engine: Engine, model: Model, rows: int, side_px: int) -> Callable[[], Tensor]:
    """Return what runs a forward of so many rows, or for none a decode."""
    import torch

    from generation.engine.slot import latent_shape

    if rows:
        return prepare_forward(engine, model, rows, side_px)
    family = engine._models.get(model.name).family
    latents = torch.randn(1, *latent_shape(family, (side_px, side_px)), generator=torch.Generator().manual_seed(7))

    @torch.inference_mode()
    def decode() -> Tensor:
        return family.decode(latents)

    return decode


def _describe(backends: Sequence[str], seconds: Sequence[float], outputs: Sequence[Tensor]) -> dict[str, float]:
    times = {f"{name}_ms": round(1000 * each, 2) for name, each in zip(backends, seconds, strict=True)}
    distance = float((outputs[0].float() - outputs[-1].float()).abs().max())
    return times | {"ratio": round(seconds[0] / seconds[-1], 3), "distance": distance}
