"""ComfyUI's graph: nodes, and links `[node id, output]` that are followed to the output they name."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generation.images.interchange.comfy_nodes import BESIDE_PIXELS, BUSES, PIPES, REROUTES, SAMPLERS

MAX_HOPS = 200
"""A graph can bite its own tail."""
MAX_SAMPLERS = 32
"""More than a picture goes through: the rest is not looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    kind: str
    inputs: Mapping[str, Any]

    @property
    def is_sampler(self) -> bool:
        """By its name, or because it takes all that one takes."""
        needed = {"positive", "negative", "latent_image", "steps"}
        return self.kind in SAMPLERS or (
            needed <= self.inputs.keys() and bool({"seed", "noise_seed"} & self.inputs.keys())
        )


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a node."""

    node: Node
    slot: int


class Graph:
    """What was sent to be painted: bypassed and muted nodes are not in it."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes

    @classmethod
    def read(cls, graph: Any) -> Graph | None:
        """Return the graph, or None for anything else."""
        if not isinstance(graph, dict):
            return None
        parts = ((id, each) for id, each in graph.items() if isinstance(each, dict))
        nodes = {
            str(id): Node(str(each.get("class_type")), each["inputs"])
            for id, each in parts
            if isinstance(each.get("inputs"), dict)
        }
        return cls(nodes) if nodes else None

    def output(self, value: Any) -> Output | None:
        """Return the output that a link leads to; None for anything else."""
        if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], int):
            return None
        node = self.nodes.get(str(value[0]))
        return None if node is None else Output(node, value[1])

    def follow(self, value: Any) -> Any:
        """Return the `Output` that a value comes from, through reroutes and buses, or the plain value. Else None."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, list):
                return value
            found = self.output(value)
            if found is None:
                return None
            if found.node.kind in REROUTES:
                links = [each for each in found.node.inputs.values() if isinstance(each, list)]
                value = links[0] if len(links) == 1 else None
            elif found.node.kind in BUSES:
                names = BUSES[found.node.kind]
                value = self._on_bus(found.node, names[found.slot]) if 0 <= found.slot < len(names) else None
            else:
                return found
        return None

    def _on_bus(self, node: Node, name: str) -> Any:
        """Return the input of that name, at this node or at one before it on the bus."""
        for _ in range(MAX_HOPS):
            if name in node.inputs:
                return node.inputs[name]
            before = next((found for key in PIPES if (found := self.output(node.inputs.get(key))) is not None), None)
            if before is None or before.node.kind not in BUSES:
                return None
            node = before.node
        return None

    def painters(self, *values: Any) -> tuple[list[Node], list[Node]]:
        """Return the nearest samplers that pixels or latents come from, and the nodes between."""
        samplers, passed = list[Node](), list[Node]()
        seen: set[int] = set()
        links = deque(values)
        while links:
            found = self.output(links.popleft())
            if found is None or id(found.node) in seen:
                continue
            seen.add(id(found.node))
            (samplers if found.node.is_sampler else passed).append(found.node)
            if not found.node.is_sampler:
                links.extend(_pixels(found.node))
        return samplers, passed

    def first_passes(self) -> tuple[list[Node], list[Node]]:
        """Return the samplers that the saved picture begins with, and the nodes that work on their output."""
        for ends in self._ends():
            waiting, after = self.painters(*(link for end in ends for link in _pixels(end)))
            waiting += [end for end in ends if end.is_sampler]
            if waiting or after:  # what else paints here does not lead to the picture
                return self._walk_back(waiting, after)
        return [], []

    def _walk_back(self, waiting: list[Node], after: list[Node]) -> tuple[list[Node], list[Node]]:
        first: list[Node] = []
        seen: set[int] = set()
        while waiting and len(seen) < MAX_SAMPLERS:
            node = waiting.pop(0)
            if id(node) in seen:
                continue
            seen.add(id(node))
            before, passed = self.painters(node.inputs.get("latent_image"))
            if before:
                after.append(node)
            else:
                first.append(node)
            after += passed
            waiting += before
        return first, after

    def _ends(self) -> Iterator[list[Node]]:
        """Return where pictures come out: what saves them, else what shows them, else what no node uses."""
        for part in ("save", "preview"):
            yield [node for node in self.nodes.values() if part in node.kind.casefold()]
        used = {
            str(link[0])
            for node in self.nodes.values()
            for link in node.inputs.values()
            if isinstance(link, list) and link
        }
        yield [node for id, node in self.nodes.items() if id not in used]
        yield [node for node in self.nodes.values() if node.is_sampler]


def _pixels(node: Node) -> list[Any]:
    return [value for name, value in node.inputs.items() if name not in BESIDE_PIXELS]
