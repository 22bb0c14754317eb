"""Classifies exceptions: the image's (it alone ends), memory's (a smaller batch may do), or the engine's."""

from __future__ import annotations

import torch

from generation.errors import AtelierError, FailedError, ModelTooLargeError, OutOfMemoryError
from generation.jobs.protocol import GenerateCommand, ImageFailed

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device or the machine had no room."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS)


def is_engine_broken(error: BaseException) -> bool:
    """Return whether the process must restart because nothing it computes can be trusted (a sticky CUDA error)."""
    return isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA" in str(error))


def broken(order: GenerateCommand, error: Exception) -> ImageFailed:
    """Return the event that ends one image because of `error`."""
    if is_out_of_memory(error):
        error = OutOfMemoryError()
    known = error if isinstance(error, AtelierError) else FailedError()
    ours = (cls for cls in type(known).__mro__ if issubclass(cls, AtelierError))
    code = next(cls.code for cls in ours if cls.__module__ == AtelierError.__module__)
    detail = "" if known is error else f" ({type(error).__name__}: {str(error)[:200]})"
    if isinstance(error, OutOfMemoryError):
        detail = " (What helps the operator: ATELIER_MEMORY=sliced or offload, and ATELIER_DTYPE=bfloat16.)"
    if isinstance(error, ModelTooLargeError):
        detail = (
            f" (It needs {error.details['needed_gib']} GiB and {error.details['free_gib']} are free."
            " What helps the operator: --storage fp8 for the model, and ATELIER_DTYPE=bfloat16.)"
        )
    return ImageFailed(image_id=order.image_id, attempt=order.attempt, error=code, message=f"{known}{detail}")
