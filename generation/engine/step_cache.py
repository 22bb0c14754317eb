"""The step cache: in most steps only the outer layers of a UNet run, on what its inner ones found some steps ago.

After DeepCache (arXiv 2312.00858). A whole forward keeps what reaches the last up block; a shallow one runs the first
down block and the last up block around it. Which evaluations are whole is fixed by the spec, never by what the rows of
a batch look like: every `cache`-th of a walk, and the first after its words changed. The rows kept are of one image,
copied into a buffer of the forward, so no neighbour changes them, and a replay by the trace has the same bytes. It is
lossy: pictures differ from those without it, so a spec names it, and it is off unless a model's defaults say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from torch import Tensor

from generation.requests.prompt_schedule import Wording

DEEP = "deep"
"""The conditioning of a shallow forward: what reaches the last up block, (rows, C, h, w)."""
_KEPT: ContextVar[list[Tensor] | None] = ContextVar("kept", default=None)


def watch(unet: Any) -> None:
    """Let `keeping` see what reaches the last up block of a UNet. Changes no bits, and keeps nothing in the module."""
    unet.up_blocks[-1].register_forward_pre_hook(_keep, with_kwargs=True)


def _keep(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    kept = _KEPT.get()
    if kept is not None:
        kept.append(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])


@contextmanager
def keeping(is_wanted: bool) -> Iterator[list[Tensor]]:
    """Yield a list that holds what reached the last up block of a forward that this thread runs meanwhile."""
    kept: list[Tensor] = []
    before = _KEPT.set(kept if is_wanted else None)
    try:
        yield kept
    finally:
        _KEPT.reset(before)


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
