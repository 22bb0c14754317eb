"""ComfyUI: the `prompt` text, a graph of nodes. The sampler node knows the numbers; its inputs lead to the words.

What each output of a node stands for is looked up in `comfy_nodes`. What is not there is left out and named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from generation.images.interchange import comfy_nodes as known
from generation.images.interchange import foreign
from generation.images.interchange.comfy_graph import MAX_HOPS, Graph, Node, Output
from generation.images.interchange.foreign import MAX_WORDS_CHARS, ForeignSettings
from generation.requests.sampler_names import find_sampler

_EMBEDDING = re.compile(r"\bembedding:(?:[^\s,:()]*[/\\])?([^\s,:()]+?)(?:\.safetensors|\.pt|\.bin)?(?=[\s,:()]|$)")


def read_comfyui(text: Mapping[str, str]) -> ForeignSettings | None:
    """Return None without a graph that paints. A graph without readable words has an empty prompt."""
    graph = Graph.read(foreign.parsed(text.get("prompt")))
    if graph is None:
        written = foreign.parsed(text.get("workflow"))  # as it is drawn, not as it was sent to be painted
        return ForeignSettings(tool="ComfyUI", prompt="") if isinstance(written, dict) and "nodes" in written else None
    samplers, after = graph.first_passes()
    if not samplers:
        kinds = [node.kind for node in after if node.kind not in known.HARMLESS]
        return ForeignSettings(tool="ComfyUI", prompt="", unread=foreign.names(kinds)) if kinds else None
    return _intersect([_Pass(graph, sampler, after).read() for sampler in samplers])


def _intersect(found: Sequence[ForeignSettings]) -> ForeignSettings:
    """Return what several saved pictures share; the rest is not known of any one of them."""
    first, *others = found
    names = [each.name for each in fields(ForeignSettings) if each.name not in ("tool", "unread")]
    differing = [name for name in names if any(getattr(each, name) != getattr(first, name) for each in others)]
    plain = ForeignSettings(tool="", prompt="")
    unread = foreign.names(name for each in found for name in each.unread)
    return replace(first, **{name: getattr(plain, name) for name in differing}, unread=unread)


class _Pass:
    """One sampler of a graph, and what leads to it."""

    def __init__(self, graph: Graph, sampler: Node, after: Sequence[Node]) -> None:
        self._graph = graph
        self._sampler = sampler
        self._unread = [node.kind for node in after if node.kind not in known.HARMLESS and _has_links(node)]
        self._texts: dict[tuple[int, int, str], str] = {}
        self._clips: list[Any] = []
        self._clip_skip: Any = None

    def read(self) -> ForeignSettings:
        inputs = self._gather_inputs()
        prompt = self._read_conditioning(inputs.get("positive"))
        clips, self._clips = self._clips, []
        negative = self._read_conditioning(inputs.get("negative"))
        loras, model = self._model(inputs.get("model"), self._encoders(clips))
        sampler = self._value(inputs.get("sampler_name"))
        found = find_sampler(_read_word(sampler), schedule=_read_word(self._value(inputs.get("scheduler"))))
        denoise = foreign.number(self._value(inputs.get("denoise")))
        partly = ["denoise"] if denoise is not None and denoise < 1 else []
        return ForeignSettings(
            tool="ComfyUI",
            prompt=foreign.words(prompt),
            negative=foreign.words(negative),
            steps=foreign.steps(self._value(inputs.get("steps"))),
            guidance=foreign.guidance(self._value(inputs.get("cfg"))),
            seed=foreign.seed(self._value(inputs.get("seed", inputs.get("noise_seed")))),
            size_px=self._size(inputs.get("latent_image")),
            sampler=found.sampler,
            sampler_there=foreign.name(sampler),
            model_there=model,
            clip_skip=foreign.clip_skip(self._clip_skip),
            loras=loras,
            unread=foreign.names((*self._unread, *found.unread, *partly)),  # known when all else is read
        )

    def _leave_out(self, what: Any) -> None:
        """Note what an output is of, or a value or link that cannot be followed."""
        self._unread.append(what.node.kind if isinstance(what, Output) else str(what)[:40])

    # Numbers.

    def _gather_inputs(self) -> dict[str, Any]:
        """Return the sampler's inputs and those of the nodes that hold its noise, guidance, sampler and schedule."""
        inputs = dict(self._sampler.inputs)
        for name, read in (("noise", _read_noise), ("guider", _read_guider), ("sigmas", _read_sigmas)):
            if name in inputs:
                found = self._graph.follow(inputs[name])
                more = read(found.node) if isinstance(found, Output) else None
                if more is None:
                    self._leave_out(found)
                inputs |= more or {}
        if "sampler" in inputs:
            inputs["sampler_name"] = inputs["sampler"]
        return inputs

    def _value(self, value: Any) -> Any:
        """Return a number or name given directly, or by a node that holds nothing else; None if that cannot be told."""
        for _ in range(MAX_HOPS):
            found = self._graph.follow(value)
            if not isinstance(found, Output):
                return None if isinstance(found, dict) else found
            held, kind = found.node.inputs, found.node.kind
            keys = known.NUMBERS.get(kind, ()) or (known.SELECTORS.get(kind, {}).get(found.slot, ""),)
            value = next((held[key] for key in keys if key in held), None)
            if value is None:
                self._leave_out(found)
                return None
        return None

    def _size(self, latent: Any) -> tuple[int, int] | None:
        for _ in range(MAX_HOPS):
            found = self._graph.follow(latent)
            if not isinstance(found, Output):
                return None
            inputs, kind = found.node.inputs, found.node.kind
            if kind in known.LOADERS_WITH_TEXT:
                sides = (inputs.get("empty_latent_width"), inputs.get("empty_latent_height"))
            elif kind in known.EMPTY_LATENTS:
                sides = (inputs.get("width"), inputs.get("height"))
            elif kind in known.LATENT_RELAYS:
                latent = inputs.get("samples")
                continue
            else:
                return None
            return foreign.size(*map(self._value, sides))
        return None

    # Words.

    def _read_conditioning(self, link: Any, depth: int = 0) -> str:
        """Return the words behind a conditioning.

        Each output is read once: a graph has more paths than can be walked.
        """
        found = self._graph.follow(link)
        if not isinstance(found, Output) or depth > MAX_HOPS:
            if link is not None:
                self._leave_out(link)
            return ""
        key = (id(found.node), found.slot, "conditioning")
        if key not in self._texts:
            self._texts[key] = ""  # for a graph that bites its own tail
            self._texts[key] = self._read_words(found, depth + 1)[: 2 * MAX_WORDS_CHARS]
        return self._texts[key]

    def _read_words(self, found: Output, depth: int) -> str:
        kind, inputs = found.node.kind, found.node.inputs
        encoder = known.ENCODERS.get(kind)
        if kind in known.WITHOUT_WORDS:
            return ""
        if encoder is not None and encoder.output in (None, found.slot):
            self._clips.append(inputs.get("clip", inputs.get("opt_clip")))
            texts = [self._text(inputs[key], depth) for key in encoder.keys if key in inputs]
            return self._join_texts(found, [_EMBEDDING.sub(r"\1", text) for text in texts])
        if (loaded := known.LOADERS_WITH_TEXT.get(kind, {}).get(found.slot)) is not None:
            self._clips.append(["", 0] if loaded == "positive" else None)
            self._clip_skip = self._clip_skip or _negate(self._value(inputs.get("clip_skip")))
            return self._text(inputs.get(loaded), depth)
        if kind in known.JOINING:
            self._leave_out(found)
            keys = known.JOINING[kind]
            return self._join_texts(
                found, [self._read_conditioning(inputs[key], depth) for key in keys if key in inputs]
            )
        self._leave_out(found)
        relay = known.CONDITIONING_RELAYS.get(kind, ())
        name = relay[found.slot] if 0 <= found.slot < len(relay) else ""
        return self._read_conditioning(inputs[name], depth) if name in inputs else ""

    def _join_texts(self, found: Output, texts: Sequence[str]) -> str:
        """Join several texts of one conditioning, and note that."""
        distinct = list(dict.fromkeys(text for text in texts if text.strip()))
        if len(distinct) > 1:
            self._leave_out(found)
        return ", ".join(distinct)

    def _text(self, value: Any, depth: int) -> str:
        found = self._graph.follow(value)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return str(found)
        if not isinstance(found, Output) or depth > MAX_HOPS:
            if not isinstance(found, str):
                self._leave_out(value)
            return found if isinstance(found, str) else ""
        key = (id(found.node), found.slot, "text")
        if key not in self._texts:
            self._texts[key] = ""
            self._texts[key] = self._text_of(found, depth + 1)[: 2 * MAX_WORDS_CHARS]
        return self._texts[key]

    def _text_of(self, found: Output, depth: int) -> str:
        inputs, texts = found.node.inputs, known.TEXTS.get(found.node.kind)
        if texts is not None and texts.output in (None, found.slot):
            between = self._value(inputs.get(texts.delimiter_key)) if texts.delimiter_key in inputs else texts.delimiter
            parts = [self._text(inputs[key], depth) for key in texts.keys if key in inputs]
            return str(between or "")[:100].join(part for part in parts if part)
        self._leave_out(found)
        styled = known.STYLERS.get(found.node.kind, {}).get(found.slot)
        return self._text(inputs[styled], depth) if styled is not None and styled in inputs else ""

    # The model, and what was put onto it.

    def _encoders(self, clips: Sequence[Any]) -> set[int]:
        """Return the LoRA nodes that all text encoders of the prompt went through; note the layer they end at."""
        chains = [self._walk_clip_chain(clip) for clip in clips]
        return set.intersection(*chains) if chains else set()

    def _walk_clip_chain(self, link: Any) -> set[int]:
        passed: set[int] = set()
        for _ in range(MAX_HOPS):
            found = self._graph.follow(link)
            if not isinstance(found, Output):
                return passed
            passed.add(id(found.node))
            inputs = found.node.inputs
            if found.node.kind == "CLIPSetLastLayer":
                self._clip_skip = self._clip_skip or _negate(self._value(inputs.get("stop_at_clip_layer")))
            elif "clip" in inputs and found.node.kind not in (*known.LORAS, *known.LORA_STACKS):
                self._leave_out(found)
            link = inputs.get("clip")
        return passed

    def _model(self, link: Any, encoders: set[int]) -> tuple[tuple[str, ...], str | None]:
        """Return the LoRA from the model on, as they are written in a prompt, and the model's own name."""
        loras: list[str] = []
        for _ in range(MAX_HOPS):
            found = self._graph.follow(link)
            if not isinstance(found, Output):
                return tuple(reversed(loras)), None
            inputs = found.node.inputs
            loaded = next((inputs[key] for key in known.MODEL_LOADERS if key in inputs), None)
            tags = self._read_loras(found.node, is_encoded=id(found.node) in encoders)
            loras += [tag for tag in reversed(tags) if tag is not None]
            is_of_lora = found.node.kind in (*known.LORAS, *known.LORA_STACKS)
            if None in tags or not (tags or loaded is not None or is_of_lora):
                self._leave_out(found)
            if loaded is not None:
                return tuple(reversed(loras)), foreign.name(self._value(loaded))
            link = inputs.get("model")
        return (), None

    def _read_loras(self, node: Node, *, is_encoded: bool) -> list[str | None]:
        """Return what this node puts onto the model; None for what one number cannot express."""
        inputs = node.inputs
        if node.kind in known.LORA_STACKS:
            rows = [each for key, each in inputs.items() if key.startswith("lora_") and isinstance(each, dict)]
            tags = [foreign.lora(each.get("lora"), each.get("strength")) for each in rows if each.get("on")]
            return [tag if is_encoded else None for tag in tags]
        if node.kind in known.LOADERS_WITH_TEXT:
            return self._lora(inputs, "lora_model_strength", "lora_clip_strength", is_encoded=True)
        if node.kind in known.LORAS:
            return self._lora(inputs, "strength_model", "strength_clip", is_encoded=is_encoded)
        return []

    def _lora(self, inputs: Mapping[str, Any], model: str, clip: str, *, is_encoded: bool) -> list[str | None]:
        called = self._value(inputs.get("lora_name"))
        weights = [foreign.number(self._value(inputs.get(key))) for key in (model, clip)]
        if (called in (None, "None") and not inputs.get("lora_name")) or called == "None" or weights == [0, 0]:
            return []
        return [foreign.lora(called, weights[0]) if is_encoded and weights[0] == weights[1] else None]


def _has_links(node: Node) -> bool:
    return any(isinstance(value, list) for value in node.inputs.values()) and "save" not in node.kind.casefold()


def _read_noise(node: Node) -> dict[str, Any] | None:
    return {"noise_seed": node.inputs.get("noise_seed")} if node.kind == "RandomNoise" else None


def _read_guider(node: Node) -> dict[str, Any] | None:
    inputs = node.inputs
    if node.kind == "BasicGuider":
        return {"model": inputs.get("model"), "positive": inputs.get("conditioning"), "cfg": 1}
    return (
        {key: inputs.get(key) for key in ("model", "positive", "negative", "cfg")} if node.kind == "CFGGuider" else None
    )


def _read_sigmas(node: Node) -> dict[str, Any] | None:
    inputs = node.inputs
    if node.kind == "BasicScheduler":
        return {key: inputs.get(key) for key in ("scheduler", "steps", "denoise")}
    schedule = known.SCHEDULES.get(node.kind)
    return {"scheduler": schedule, "steps": inputs.get("steps")} if schedule is not None else None


def _read_word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _negate(value: Any) -> float | None:
    number = foreign.number(value)
    return None if number is None else -number
