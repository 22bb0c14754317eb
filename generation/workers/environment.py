"""The environment of a worker process: an allow-list. What is not named here never reaches it."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "XDG_CACHE_HOME"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "PYTHONHASHSEED"),
        *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONFAULTHANDLER"),
        *("PYTHONWARNINGS", "PYTHONMALLOC", "CONDA_PREFIX"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"),
        *("PROGRAMDATA", "PROGRAMFILES", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "PROCESSOR_IDENTIFIER"),
        *("GPU_DEVICE_ORDINAL", "GPU_MAX_HW_QUEUES", "ZE_AFFINITY_MASK"),
    )
)
"""Paths, language, time zone, and what Python and the system need to start a process."""
_FAMILIES = (
    "LC_",
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "DNNL_", "ONEDNN_", "MALLOC_"),
    *("CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_", "NCCL_"),
    *("HIP_", "HSA_", "ROCR_", "ROCM_", "ROCBLAS_", "HIPBLASLT_", "MIOPEN_", "AMD_"),
    *("TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TRITON_", "ATEN_"),
)
"""Settings of the locale, the arithmetic libraries, the graphics drivers and torch, which have many names."""
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSW", "CREDENTIAL", "KEY", "AUTH", "URL", "PROXY")
_SET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # a log is no place for bars
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
}
"""No network, no foreign code and no idle talk of the libraries."""


def worker_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return what a worker may see of `given`, and the settings of every worker."""
    return {name: value for name, value in given.items() if _is_allowed(name.upper())} | _SET


def _is_allowed(name: str) -> bool:
    if name in _NAMES:
        return True
    return name.startswith(_FAMILIES) and not any(word in name for word in _SECRET_WORDS)
