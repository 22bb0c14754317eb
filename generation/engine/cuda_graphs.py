"""Runs UNets as CUDA graphs in place of kernel by kernel: the processor starts a whole forward at once.

A forward of Stable Diffusion is some thousand kernels. A captured one runs the same kernels on the same places in
memory, so it is captured for each shape of inputs, with buffers of its own: `denoise` copies inputs in, replays, and
copies the output out. Which forwards run so follows from the request alone (`takes`), never from company, and the
setting is in the fingerprint: where a graph had other bits after all, no promise would be wrong.

A graph reads memory that torch may free: it must go before that does. Graphs are dropped

- with their model: the model holds them, and nothing else does (unloading, replacing, release at idle);
- when a LoRA was put beside the model's layers or taken away, all of that model's;
- when memory runs out (`clear`), all of all models';
- beyond `MAX_GRAPHS`, the one unused for longest.

What a graph cannot hold runs kernel by kernel: ControlNets and T2I-Adapters (their forwards differ from step to step),
IP-Adapters (their attention reads what each row looks at from outside the forward), step caches (they take a part out
of the middle). Regions are rows as others are. Memory modes other than `full` move weights about: no graphs there.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
from msgspec import UNSET
from torch import Tensor

from generation.engine.devices import Device
from generation.engine.error_classes import is_out_of_memory
from generation.engine.families.base import Conditioning, Family
from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec

MAX_GRAPHS = 16
"""Of one model. They share their memory, so one costs its inputs, its output and its list of kernels."""
_FAMILIES = ("sd", "sdxl")
"""Those whose forward neither waits for the device nor copies to it. Of transformers that is not looked into."""
_WARM_UPS = 2


class Graph(Protocol):
    """A captured forward."""

    output: Tensor
    pool: Any
    """What lets other graphs use its memory, as they never run at the same time."""

    def replay(self) -> None:
        """Run it on what its inputs hold now, into `output`."""


class CudaGraph:
    """A forward captured on the current card."""

    def __init__(self, run: Callable[[], Tensor], pool: Any) -> None:
        """Capture `run`, which reads and writes always the same places, into the memory of `pool`, or its own."""
        self._graph, stream, usual = torch.cuda.CUDAGraph(), _open_stream(), torch.cuda.current_stream()
        stream.wait_stream(usual)
        with torch.cuda.stream(stream):  # libraries set themselves up in their first calls, which no graph can hold
            for _ in range(_WARM_UPS):
                run()
        usual.wait_stream(stream)
        # `thread_local`: a checker may compute in another thread meanwhile. The stream is set outside too, because
        # `torch.cuda.graph` leaves it set where a capture fails.
        options: dict[str, Any] = {"pool": pool, "stream": stream, "capture_error_mode": "thread_local"}
        with torch.cuda.stream(stream), torch.cuda.graph(self._graph, **options):
            self.output = run()
        self.pool = self._graph.pool()

    def replay(self) -> None:
        self._graph.replay()


@cache
def _open_stream() -> torch.cuda.Stream:
    """Return the one stream of all captures: graphs share memory only where their streams are the same."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def graph_denoiser(family: Family, model: Model, device: Device) -> GraphedDenoiser | None:
    """Return what runs a model's forwards as graphs; None where the device or the family does not."""
    return GraphedDenoiser(family, CudaGraph) if device.cuda_graphs and model.family in _FAMILIES else None


class _Kept(NamedTuple):
    graph: Graph
    inputs: tuple[Tensor, ...]


class GraphedDenoiser:
    """A family's `denoise` by graphs. Threads that call it at once wait for each other."""

    holds_weights = False

    def __init__(self, family: Family, make: Callable[[Callable[[], Tensor], Any], Graph]) -> None:
        """`make`: captures what it is given, into a pool or one of its own."""
        self._family: Family = weakref.proxy(family)  # which holds this one
        self._make = make
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._num_lora_changes = 0

    def takes(self, spec: ImageSpec, latent_shape: tuple[int, int, int]) -> bool:
        return not (spec.controls or spec.image_prompt) and spec.cache is UNSET

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        given = (latents, timesteps, *(conditioning[name] for name in sorted(conditioning)))
        with self._lock:
            kept = self._find(given, tuple(sorted(conditioning)))
            for buffer, tensor in zip(kept.inputs, given, strict=True):
                buffer.copy_(tensor)
            kept.graph.replay()
            return kept.graph.output.clone()  # the next replay writes over it

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def _find(self, given: tuple[Tensor, ...], names: tuple[str, ...]) -> _Kept:
        """Return the graph for such inputs and the LoRA that are at work, captured now if it is not there."""
        adapters = self._family.adapters
        if adapters.num_changes != self._num_lora_changes:  # some of what a graph reads may have been freed
            self._kept.clear()
            self._num_lora_changes = adapters.num_changes
        key = (adapters.active, names, *((each.shape, each.dtype) for each in given))
        if key not in self._kept:
            if len(self._kept) >= MAX_GRAPHS:
                self._kept.popitem(last=False)
            self._kept[key] = self._capture(given, names)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _capture(self, given: tuple[Tensor, ...], names: tuple[str, ...]) -> _Kept:
        """Raise `ConfigurationError` if it cannot be captured, and what torch raises if there is no memory."""
        inputs = tuple(each.clone() for each in given)
        latents, timesteps, *parts = inputs
        conditioning = dict(zip(names, parts, strict=True))
        pool = next((each.graph.pool for each in self._kept.values()), None)
        try:
            return _Kept(self._make(lambda: self._family.denoise(latents, timesteps, conditioning), pool), inputs)
        except Exception as error:
            cause = error.__context__ or error  # what ends a capture has an error of its own
            if is_out_of_memory(cause):
                raise cause from None
            raise ConfigurationError(
                problem=f"A forward cannot be captured as a CUDA graph ({str(cause).splitlines()[0][:120]}).",
                remedy="Set ATELIER_CUDA_GRAPHS=false.",
            ) from error
