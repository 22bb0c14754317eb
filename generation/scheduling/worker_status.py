"""What operators see of a worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generation.jobs.protocol import LoadedModelInfo
from generation.scheduling.members import Members, MemberState
from generation.scheduling.worker_pool import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker at a moment."""

    name: str
    device: str
    num_slots: int = 0
    """0 while it is down."""
    num_images: int = 0
    units_per_s: float | None = None
    num_losses: int = 0
    loaded: tuple[LoadedModelInfo, ...] = ()
    is_draining: bool = False
    is_unfit: bool = False
    """It can never be up, and is left out."""
    is_cloud: bool = False
    trouble: str | None = None
    """Why it is down or left out."""


def list_status(members: Members, pool: WorkerPool) -> Iterator[WorkerStatus]:
    """Yield those that are in, and after them those that were left out."""
    for each in members:
        yield _describe(each, is_draining=pool.is_draining(each.name))
    for name, why in pool.unfit.items():
        yield WorkerStatus(name=name, device="", is_unfit=True, trouble=why)


def _describe(state: MemberState, *, is_draining: bool) -> WorkerStatus:
    return WorkerStatus(
        name=state.name,
        device=state.member.device,
        num_slots=state.num_slots,
        num_images=len(state.held),
        units_per_s=state.pace.units_per_s,
        num_losses=state.num_losses,
        loaded=state.member.worker.loaded_models,
        is_draining=is_draining,
        is_cloud=state.member.is_cloud,
        trouble=None if state.num_slots else state.trouble,
    )


def compute_units_per_worker_s(workers: Iterable[WorkerStatus]) -> float | None:
    """Return what a worker painted a second recently, on average; None before anything was measured."""
    measured = [each.units_per_s for each in workers if each.units_per_s is not None]
    return sum(measured) / len(measured) if measured else None
