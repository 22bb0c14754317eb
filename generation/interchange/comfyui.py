"""ComfyUI: the `prompt` text, a graph of nodes. The sampler node knows the numbers; its inputs lead to the words."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from generation.interchange import foreign
from generation.interchange.foreign import Foreign
from generation.interchange.samplers import our_sampler

_SAMPLERS = ("KSampler", "KSamplerAdvanced")

Graph = Mapping[str, Any]


def read_comfyui(text: Mapping[str, str]) -> Foreign | None:
    """None without a graph that holds a sampler node whose words can be found."""
    graph = foreign.parsed(text.get("prompt"))
    if not isinstance(graph, dict):
        return None
    sampler = next((inputs for kind, inputs in _nodes(graph) if kind in _SAMPLERS), None)
    if sampler is None:
        return None
    prompt = foreign.words(_text(graph, sampler.get("positive")))
    latent = _inputs(graph, sampler.get("latent_image"))
    model = _upstream(graph, sampler.get("model"), "ckpt_name")
    return Foreign(
        tool="ComfyUI",
        prompt=prompt,
        negative=foreign.words(_text(graph, sampler.get("negative"))),
        steps=foreign.steps(_value(graph, sampler.get("steps"))),
        guidance=foreign.guidance(_value(graph, sampler.get("cfg"))),
        seed=foreign.seed(_value(graph, sampler.get("seed", sampler.get("noise_seed")))),
        size_px=foreign.size(_value(graph, latent.get("width")), _value(graph, latent.get("height"))),
        sampler=our_sampler(_word(sampler.get("sampler_name")), schedule=_word(sampler.get("scheduler"))),
        sampler_there=foreign.name(sampler.get("sampler_name")),
        model_there=foreign.name(model),
    )


def _nodes(graph: Graph) -> list[tuple[str, Graph]]:
    nodes = (node for node in graph.values() if isinstance(node, dict))
    return [(str(node.get("class_type")), node["inputs"]) for node in nodes if isinstance(node.get("inputs"), dict)]


def _inputs(graph: Graph, link: Any) -> Graph:
    """The inputs of the node that a link, `[node id, output]`, leads to; none for anything else."""
    if not isinstance(link, list) or not link:
        return {}
    node = graph.get(str(link[0]))
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _text(graph: Graph, link: Any) -> Any:
    """The words behind a conditioning: those of the nearest node upstream that has some."""
    return _upstream(graph, link, "text", "text_g", "string", "value")


def _value(graph: Graph, value: Any) -> Any:
    """A number given directly, or by a node that holds nothing else."""
    return _upstream(graph, value, "value", "seed", "int", "number") if isinstance(value, list) else value


def _upstream(graph: Graph, link: Any, *keys: str) -> Any:
    """The first plain value of such a name, breadth first along the links.

    Each node is visited once: there may be more paths through a small graph than anyone can walk.
    """
    seen: set[str] = set()
    links = deque([link])
    while links:
        each = links.popleft()
        if not isinstance(each, list) or not each or str(each[0]) in seen:
            continue
        seen.add(str(each[0]))
        inputs = _inputs(graph, each)
        for key in keys:
            if key in inputs and not isinstance(inputs[key], list):
                return inputs[key]
        links.extend(inputs.values())
    return None


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
