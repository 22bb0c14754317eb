"""The kinds of LoRA that are read, and whether the tensors of one layer fit each other. Shapes only; no torch.

| kind | what is added to a layer's weight |
|---|---|
| LoRA, LoCon | `up @ down`; with `mid` (Tucker) the kernel's sides are in a core between the two |
| LoHa | `(w1_a @ w1_b) * (w2_a @ w2_b)`, number by number; with `t1`, `t2` (Tucker) each has a core |
| LoKr | `kron(w1, w2)`, each whole or of two matrices; with `t2` (Tucker) the second has a core |
| DoRA | any of these, and then every row (or column) of the sum is scaled to a length that was learnt |

Names of parts, and their order of sides, are those of LyCORIS and of PEFT's `LoHaLayer` and `LoKrLayer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple, NoReturn

Shape = tuple[int, ...]
_LORA = ("down", "up", "mid")
_LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")
_LOKR = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
_LENGTHS = ("dora_scale", "magnitude")
"""A DoRA's lengths as LyCORIS and kohya's scripts write them, for rows or columns, and as PEFT does, for rows."""
KINDS: Mapping[str, str] = (
    dict.fromkeys(_LORA, "LoRA") | dict.fromkeys(_LOHA, "LoHa") | dict.fromkeys(_LOKR, "LoKr")
) | dict.fromkeys((*_LENGTHS, "alpha"), "")
"""Every part of a layer that is read, and the kind it belongs to; empty for those that stand beside any kind."""
_MAX_SIDE = 2**16
"""No layer of a model that is run here has a longer side: what is longer was made to fill the memory."""


class Extent(NamedTuple):
    """What a layer's tensors add up to."""

    gives: int
    """Rows of the weight."""
    takes: int
    """Numbers in a row: of a convolution, for every place of its kernel."""
    rank: int
    """What `alpha` is divided by; 0 for a LoKr that is whole, which is not scaled."""


def measure(parts: Mapping[str, Shape]) -> Extent:
    """Return what the parts of one layer add up to.

    Raise `ValueError` saying why they cannot (to be followed by “for” and the layer) if one is missing or is of
    another size than the others.
    """
    kinds = {KINDS[part] for part in parts} - {""}
    if len(kinds) != 1:
        _refuse("mixes " + " and ".join(sorted(kinds)) if kinds else "lacks the matrices")
    if not all(map(prod, parts.values())):
        _refuse("holds an empty matrix")
    extent = {"LoRA": _measure_lora, "LoHa": _measure_loha, "LoKr": _measure_lokr}[kinds.pop()](parts)
    if max(extent.gives, extent.takes) > _MAX_SIDE:
        _refuse(f"adds up to {extent.takes} numbers to {extent.gives}, and no layer has more than {_MAX_SIDE},")
    if extent.rank > max(extent.gives, extent.takes):
        _refuse(f"has a rank of {extent.rank}, which can be {max(extent.gives, extent.takes)} at most,")
    if prod(parts.get("alpha", ())) != 1:
        _refuse("holds more than one number to scale by")
    _check_lengths(parts, extent)
    return extent


def _measure_lora(parts: Mapping[str, Shape]) -> Extent:
    if missing := [part for part in ("down", "up") if part not in parts]:
        _refuse(f"lacks one of the two matrices ({missing[0]})")
    down, up, mid = parts["down"], parts["up"], parts.get("mid")
    rank = down[0]
    _require_fit(len(down) == len(up) in (2, 4) and up[1:] == (rank, 1, 1)[: len(up) - 1])
    if mid is None:
        return Extent(up[0], prod(down[1:]), rank)
    _require_fit(down[2:] in ((), (1, 1)) and _is_core(mid, rank))
    return Extent(up[0], down[1] * prod(mid[2:]), rank)


def _measure_loha(parts: Mapping[str, Shape]) -> Extent:
    _require_all(parts, _LOHA[:4])
    if ("hada_t1" in parts) != ("hada_t2" in parts):
        _refuse("lacks one of the two cores (hada_t1, hada_t2)")
    first, second = (
        _measure_pair(parts[f"hada_w{which}_a"], parts[f"hada_w{which}_b"], parts.get(f"hada_t{which}"))
        for which in (1, 2)
    )
    _require_fit(first == second)
    return first


def _measure_lokr(parts: Mapping[str, Shape]) -> Extent:
    outer, inner = (_measure_factor(parts, f"lokr_w{which}") for which in (1, 2))
    ranks = {outer.rank, inner.rank} - {0}
    _require_fit(len(ranks) < 2)
    return Extent(outer.gives * inner.gives, outer.takes * inner.takes, max(ranks, default=0))


def _measure_factor(parts: Mapping[str, Shape], name: str) -> Extent:
    """Return the size of one factor of a Kronecker product, whole (rank 0) or of two matrices."""
    whole, core = parts.get(name), parts.get("lokr_t2") if name.endswith("2") else None
    halves = [part for part in (f"{name}_a", f"{name}_b") if part in parts]
    if whole is None:
        _require_all(parts, (f"{name}_a", f"{name}_b"))
        return _measure_pair(parts[f"{name}_a"], parts[f"{name}_b"], core)
    if halves or core is not None:
        _refuse(f"holds {name} twice, whole and in parts,")
    _require_fit(len(whole) == 2 or (len(whole) == 4 and name.endswith("2")))
    return Extent(whole[0], prod(whole[1:]), 0)


def _measure_pair(a: Shape, b: Shape, core: Shape | None) -> Extent:
    """Return the size of `a @ b`, or, with a core, of what it is between `a` and `b`, both with the rank first."""
    _require_fit(len(a) == len(b) == 2)
    if core is None:
        _require_fit(a[1] == b[0])
        return Extent(a[0], b[1], b[0])
    _require_fit(a[0] == b[0] and _is_core(core, b[0]))
    return Extent(a[1], b[1] * prod(core[2:]), b[0])


def _check_lengths(parts: Mapping[str, Shape], extent: Extent) -> None:
    lengths = [parts[part] for part in _LENGTHS if part in parts]
    if len(lengths) > 1:
        _refuse("holds a DoRA's lengths twice")
    if not lengths:
        return
    (shape,) = lengths
    of_rows = prod(shape) == extent.gives and ("magnitude" in parts or shape[:1] == (extent.gives,))
    of_columns = "dora_scale" in parts and shape[:1] == (1,) and extent.takes % prod(shape) == 0
    if not of_rows and not (of_columns and shape[1:2] == (prod(shape),)):
        _refuse("holds a DoRA's lengths that do not fit the matrices")


def _is_core(core: Shape, rank: int) -> bool:
    return len(core) == 4 and core[:2] == (rank, rank)


def _require_all(parts: Mapping[str, Shape], names: tuple[str, ...]) -> None:
    if missing := [name for name in names if name not in parts]:
        _refuse(f"lacks {missing[0]}")


def _require_fit(fits: bool) -> None:
    if not fits:
        _refuse("holds matrices that do not fit each other")


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
