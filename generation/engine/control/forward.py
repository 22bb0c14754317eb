"""Runs ControlNets beside a forward: each on the rows that have it, in a bucket of its own.

What they predict is added to those rows, zero to the others, so images with and without one share the UNet's forward. A
ControlNet's bits depend on its own bucket, so that is in the trace too. The first of each image run before the second
ones: they are added up in the order of the spec. The rows of a ControlNet Union see each other, so each image has its
forward to itself. What T2I-Adapters add was computed when the image began.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from generation.engine.batch import Batch, list_rows
from generation.engine.control.networks import ControlNetwork
from generation.engine.devices import Device
from generation.engine.families.base import FEATURE, RESIDUAL
from generation.engine.key import Key
from generation.engine.slot import Slot
from generation.requests.control import MODES, UNION
from generation.requests.recipe import Forward

_MAX_BUFFERS = 8


@dataclass(frozen=True, slots=True)
class _Member:
    """Rows of a forward that one ControlNet runs on: those of an image, for one of its ControlNets."""

    slot: Slot
    place: int
    """Of the ControlNet in the spec."""
    rows: slice
    bucket: int | None
    """What a replay prescribes."""


@dataclass(slots=True)
class _Buffers:
    """The inputs of a ControlNet's forward. Rows that no image owns keep what was last in them."""

    latents: Tensor
    timesteps: Tensor
    conditioning: Mapping[str, Tensor]
    pictures: Tensor
    owners: list[tuple[int, int] | None] = field(default_factory=list)


class ControlForwards:
    """Runs ControlNets on the rows of a forward."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[Key, int, ControlNetwork], _Buffers] = OrderedDict()

    def run(self, slots: Sequence[Slot], batch: Batch) -> tuple[Mapping[str, Tensor], list[Forward]]:
        """Return what is added to the UNet, by name, and each image's entry of the trace."""
        forwards = [Forward(batch.bucket)] * len(slots)
        residuals: dict[str, Tensor] = {}
        for turn in range(max((len(slot.active_controls) for slot in slots), default=0)):
            for network, members in _group(slots, turn):
                bucket = self._predict(network, members, batch, residuals)
                for member in members:
                    index = next(at for at, slot in enumerate(slots) if slot is member.slot)
                    before = forwards[index]
                    forwards[index] = Forward(before.rows, (*before.control, bucket))
        _add_features(slots, batch.bucket, residuals)
        return residuals, forwards

    def clear(self) -> None:
        """Give the memory back."""
        self._kept.clear()

    def _predict(
        self, network: ControlNetwork, members: Sequence[_Member], batch: Batch, residuals: dict[str, Tensor]
    ) -> int:
        """Run one ControlNet and add its output to `residuals`. Return its bucket."""
        first, num_rows = members[0].slot, sum(member.slot.rows for member in members)
        bucket = members[0].bucket or next(rung for rung in first.family.ladder if rung >= num_rows)
        buffers = self._get_buffers(network, members[0], bucket, batch)
        strengths = _fill(buffers, members, batch)
        mode = first.order.spec.controls[members[0].place].mode
        scales = torch.tensor(strengths + [0.0] * (bucket - num_rows), device=self._device.torch_device)
        outputs = first.family.control(
            network.network,
            buffers.latents,
            buffers.timesteps,
            buffers.conditioning,
            buffers.pictures,
            strengths=scales,
            mode=MODES[mode] if mode else None,
        )
        for place, output in outputs.items():
            name = f"{RESIDUAL}{place}"
            if name not in residuals:
                residuals[name] = _zeros(batch.bucket, output)
            row = 0
            for member in members:
                residuals[name][member.rows] += output[row : row + member.slot.rows]
                row += member.slot.rows
        return bucket

    def _get_buffers(self, network: ControlNetwork, like: _Member, bucket: int, batch: Batch) -> _Buffers:
        name = (like.slot.key, bucket, network)
        if name not in self._kept:
            assert like.slot.walk is not None
            picture = like.slot.walk.guides.pictures[like.place]
            self._kept[name] = _Buffers(
                torch.zeros_like(batch.latents[:1]).repeat(bucket, 1, 1, 1),
                torch.zeros(bucket, dtype=batch.timesteps.dtype, device=batch.timesteps.device),
                {
                    each: torch.zeros((bucket, *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
                    for each, rows in batch.conditioning.items()
                },
                torch.zeros((bucket, *picture.shape[1:]), dtype=batch.latents.dtype, device=batch.latents.device),
                [None] * bucket,
            )
        self._kept.move_to_end(name)
        if len(self._kept) > _MAX_BUFFERS:
            self._kept.popitem(last=False)
        return self._kept[name]


def _add_features(slots: Sequence[Slot], bucket: int, residuals: dict[str, Tensor]) -> None:
    """Add what T2I-Adapters found to the rows of their images, zero to the others."""
    for slot, rows in list_rows(slots):
        for features in slot.active_features:
            for index, feature in enumerate(features):
                name = f"{FEATURE}{index}"
                if name not in residuals:
                    residuals[name] = _zeros(bucket, feature)
                residuals[name][rows] += feature


def _group(slots: Sequence[Slot], turn: int) -> list[tuple[ControlNetwork, list[_Member]]]:
    """Return the images whose ControlNet number `turn`, of those that run, is the same, in the order of their rows.

    An image with a Union is a group by itself.
    """
    groups: dict[tuple[ControlNetwork, int], list[_Member]] = {}
    for slot, rows in list_rows(slots):
        if turn < len(slot.active_controls):
            place, forward = slot.active_controls[turn], slot.next_forward
            bucket = forward.control[turn] if forward is not None else None
            network = slot.networks.controls[place]
            alone = slot.serial if network.kind == UNION else 0
            groups.setdefault((network, alone), []).append(_Member(slot, place, rows, bucket))
    return [(network, members) for (network, _), members in groups.items()]


def _fill(buffers: _Buffers, members: Sequence[_Member], batch: Batch) -> list[float]:
    """Copy in the inputs of these rows, in order from row 0. Return the strength of each row."""
    row, strengths = 0, list[float]()
    for member in members:
        here = slice(row, row + member.slot.rows)
        buffers.latents[here] = batch.latents[member.rows]
        buffers.timesteps[here] = batch.timesteps[member.rows]
        for name, rows in buffers.conditioning.items():
            rows[here] = batch.conditioning[name][member.rows]
        owner = (member.slot.serial, member.place)
        if buffers.owners[here] != [owner] * member.slot.rows:
            assert member.slot.walk is not None
            buffers.pictures[here] = member.slot.walk.guides.pictures[member.place]
            buffers.owners[here] = [owner] * member.slot.rows
        strengths += [member.slot.order.spec.controls[member.place].strength] * member.slot.rows
        row = here.stop
    return strengths


def _zeros(bucket: int, like: Tensor) -> Tensor:
    """Return zeros for `bucket` rows that lie in memory as the rows of `like` do."""
    is_channels_last = like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous()
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    return torch.empty((bucket, *like.shape[1:]), dtype=like.dtype, device=like.device, memory_format=layout).zero_()
