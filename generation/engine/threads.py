"""Says how many threads compute what the calling thread asks of torch."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch


def use_threads(threads: int) -> None:
    """Give the calling thread's operations so many threads, whatever others have."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if (set_local := _find_mkl_setter()) is not None:  # torch sets MKL's for the whole process
        set_local(threads)


@cache
def _find_mkl_setter() -> Callable[[int], int] | None:
    """Return what sets the threads of MKL for one thread, where torch was built with it."""
    for name in ("libtorch_cpu.so", "torch_cpu.dll"):
        path = Path(torch.__file__).parent / "lib" / name
        if path.exists():
            return getattr(ctypes.CDLL(str(path)), "MKL_Set_Num_Threads_Local", None)
    return None
