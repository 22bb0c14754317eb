"""The step cache: in most steps only the outer layers of a network run, on what its inner ones found some steps ago.

In a UNet after DeepCache (arXiv 2312.00858): a whole forward keeps what reaches the last up block, and a shallow one
runs the first down block and the last up block around it. In a transformer, as the first-block cache does: a whole
forward keeps what all blocks behind the first added to the tokens, and a shallow one adds it to what the first block
gives. The text of networks of one stream and pictures to edit are kept with the picture's tokens.

Which evaluations are whole is fixed by the spec, never by what the rows of a batch look like: every `cache`-th of a
walk, and the first after its words changed. The rows kept are of one image, copied into a buffer of the forward, so no
neighbour changes them, and a replay by the trace has the same bytes. It is lossy: pictures differ from those without
it, so a spec names it, and it is off unless a model's defaults say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generation.requests.prompt_schedule import Wording


@dataclass(slots=True)
class _Forward:
    """What the step cache does in one forward."""

    deep: Tensor | None
    """Of a shallow one: what its rows kept, rows first."""
    kept: list[Tensor] = field(default_factory=list)
    """Of a whole one: what is kept of it, rows first."""
    first: Tensor | None = None
    """What the first block of a transformer gave."""


_FORWARD: ContextVar[_Forward | None] = ContextVar("forward", default=None)
"""Two threads may run one network at once, so the network itself keeps nothing."""


@contextmanager
def caching(deep: Tensor | None, *, keeps: bool) -> Iterator[list[Tensor]]:
    """Let the forward that this thread runs meanwhile be shallow, around `deep` (rows, ...), or whole without it.

    Yields a list: after a whole forward with `keeps` it holds what to keep of it, rows first.
    """
    forward = _Forward(deep)
    before = _FORWARD.set(forward if keeps or deep is not None else None)
    try:
        yield forward.kept
    finally:
        _FORWARD.reset(before)


def find_deep() -> Tensor | None:
    """Return what the shallow forward of this thread runs around; None in a whole one."""
    forward = _FORWARD.get()
    return forward.deep if forward is not None else None


def watch(unet: Any) -> None:
    """Let `caching` see what reaches the last up block of a UNet. Changes no bits."""
    unet.up_blocks[-1].register_forward_pre_hook(_keep, with_kwargs=True)


def _keep(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    forward = _FORWARD.get()
    if forward is not None and forward.deep is None:
        forward.kept.append(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])


def watch_blocks(transformer: Any, *lists: str, rows_axis: int = 0) -> Any:
    """Let `caching` leave out blocks of a transformer, and return it. A whole forward has the same bits as before.

    `lists`: the names of its lists of blocks, in the order they run. `rows_axis`: that of the tokens' tensors.
    """
    blocks = [block for name in lists for block in getattr(transformer, name)]
    if len(blocks) < 2:  # nothing to leave out, so nothing is kept, and all forwards are whole
        return transformer
    first, *inner, last = blocks
    first.forward = partial(_run_first, first.forward)
    for block in inner:
        block.forward = partial(_run_inner, block.forward)
    last.forward = partial(_run_last, last.forward, rows_axis)
    return transformer


def _run_first(run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    output, forward = run(*args, **kwargs), _FORWARD.get()
    if forward is not None:
        forward.first = _find_tokens(output)
    return output


def _run_inner(run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if find_deep() is None:
        return run(*args, **kwargs)
    tokens, text = _read_inputs(args, kwargs)
    return tokens if text is None else (text, tokens)


def _run_last(run: Callable[..., Any], rows_axis: int, *args: Any, **kwargs: Any) -> Any:
    """Run the last block. In a shallow forward, add what was kept to the end of the sequence: text may be before it."""
    forward = _FORWARD.get()
    if forward is None:
        return run(*args, **kwargs)
    first, forward.first = forward.first, None
    assert first is not None
    if forward.deep is None:
        output = run(*args, **kwargs)
        tokens = _find_tokens(output)
        forward.kept.append((tokens[:, tokens.shape[1] - first.shape[1] :] - first).movedim(rows_axis, 0))
        return output
    tokens, text = _read_inputs(args, kwargs)
    before = tokens[:, : tokens.shape[1] - first.shape[1]]
    tokens = torch.cat([before, first + forward.deep.movedim(0, rows_axis)], dim=1)
    return tokens if text is None else (text, tokens)


def _find_tokens(output: Any) -> Tensor:
    """Return the tokens of the picture of what a block gave: text, where it has a stream of its own, is before them."""
    tokens: Tensor = output[1] if isinstance(output, tuple) else output
    return tokens


def _read_inputs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor | None]:
    """Return the tokens that a block is given, and those of text where they have a stream of their own."""
    return args[0] if args else kwargs["hidden_states"], kwargs.get("encoder_hidden_states")


def run_shallow(
    unet: Any,
    sample: Tensor,
    timesteps: Tensor,
    states: Tensor,
    deep: Tensor,
    added: Mapping[str, Any],
    *,
    added_cond_kwargs: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return the prediction (rows, C, h, w) of the outer blocks around `deep`, as `UNet2DConditionModel` runs them.

    `added`: what ControlNets and T2I-Adapters add, as the UNet takes it; what is for its inner blocks is left out.
    """
    emb = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timesteps))
    more = unet.get_aug_embed(emb=emb, encoder_hidden_states=states, added_cond_kwargs=added_cond_kwargs)
    emb = emb if more is None else emb + more
    down, up = unet.down_blocks[0], unet.up_blocks[-1]
    attends = getattr(down, "has_cross_attention", False)
    hidden = unet.conv_in(sample)
    found = [hidden]
    for layer, resnet in enumerate(down.resnets):
        hidden = resnet(hidden, emb)
        if attends:
            hidden = down.attentions[layer](hidden, encoder_hidden_states=states, return_dict=False)[0]
        found.append(hidden)
    found = _add_guides(found, added, takes_features=attends)
    words = {"encoder_hidden_states": states} if getattr(up, "has_cross_attention", False) else {}
    hidden = up(
        hidden_states=deep,
        temb=emb,
        res_hidden_states_tuple=tuple(found[-len(up.resnets) :]),
        upsample_size=None,
        **words,
    )
    if unet.conv_norm_out:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    prediction: Tensor = unet.conv_out(hidden)
    return prediction


def _add_guides(found: list[Tensor], added: Mapping[str, Any], *, takes_features: bool) -> list[Tensor]:
    features = added.get("down_intrablock_additional_residuals")
    if features and takes_features:  # else the UNet adds it behind the block, to what goes further down
        found[-1] = found[-1] + features[0]
    residuals = added.get("down_block_additional_residuals", ())
    return [each + residuals[place] if residuals else each for place, each in enumerate(found)]


class Kept(NamedTuple):
    """What an image keeps of its last whole evaluation."""

    deep: Tensor
    """(rows, C, h, w) of its own rows."""
    wording: Wording


def can_cache(unet: Any) -> bool:
    """Return whether the last up block of a UNet takes what the first down block gives, and no more."""
    return len(unet.up_blocks) > 1 and len(unet.up_blocks[-1].resnets) == len(unet.down_blocks[0].resnets) + 1
