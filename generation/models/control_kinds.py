"""What of a file or folder holds a picture to another: a ControlNet, a Union or a T2I-Adapter. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from generation.models import adapter_layout, control_layout
from generation.models.adapter_layout import ADAPTER_CLASS
from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.control_layout import CONTROL_CLASS, OTHER_CLASSES, UNION_CLASS, require_other
from generation.models.zimage_control import (
    FAMILY,
    ZIMAGE_CONTROL_CLASS,
    derive_zimage_control,
    describe_zimage_settings,
    is_zimage_control,
)
from generation.requests.control import ADAPTER, UNION

CLASSES = (CONTROL_CLASS, UNION_CLASS, ADAPTER_CLASS, ZIMAGE_CONTROL_CLASS)
_FEWEST_MODES = 6


class ControlDescription(NamedTuple):
    """What was found out about one."""

    family: str
    context_width: int = 0
    kind: str = ""
    """As a spec has it; empty for a plain ControlNet."""
    num_modes: int = 0
    """Of a Union: how many kinds of maps it knows."""


def describe_control_file(shapes: Shapes) -> ControlDescription | None:
    """Return what a single file is; None if it holds no such network.

    Raise `IncompatibleFileError` for one that cannot be run.
    """
    if is_zimage_control(shapes):
        return ControlDescription(FAMILY)
    require_other(control_layout.other_control(shapes))
    if control_layout.is_control(shapes):
        modes = control_layout.count_modes(shapes)
        return ControlDescription(*control_layout.describe_control(shapes), UNION if modes else "", modes)
    if adapter_layout.is_adapter(shapes):
        settings = adapter_layout.derive_adapter_settings(shapes)
        return ControlDescription(*adapter_layout.describe_adapter_settings(settings), kind=ADAPTER)
    return None


def describe_control_folder(settings: Mapping[str, Any]) -> ControlDescription | None:
    """Return the same of a folder, by its `config.json`."""
    name = settings.get("_class_name")
    require_other(OTHER_CLASSES.get(name, "") if isinstance(name, str) else "")
    if name == ADAPTER_CLASS:
        return ControlDescription(*adapter_layout.describe_adapter_settings(settings), kind=ADAPTER)
    if name == ZIMAGE_CONTROL_CLASS:
        return ControlDescription(describe_zimage_settings(settings))
    if name not in (CONTROL_CLASS, UNION_CLASS):
        return None
    family, width = control_layout.describe_settings(settings)
    if name == CONTROL_CLASS:
        return ControlDescription(family, width)
    modes = settings.get("num_control_type", _FEWEST_MODES)
    if not isinstance(modes, int) or modes < 1:
        raise IncompatibleFileError("is a ControlNet Union that does not say how many maps it knows")
    return ControlDescription(family, width, UNION, modes)


def derive_settings(shapes: Shapes, file: Path | None = None) -> dict[str, Any]:
    """Return the settings of one in a single file. Raise `IncompatibleFileError` if its shape is unknown here.

    `file`: where it lies, for what no shape tells.
    """
    if is_zimage_control(shapes):
        return derive_zimage_control(shapes, file)
    if adapter_layout.is_adapter(shapes):
        return adapter_layout.derive_adapter_settings(shapes)
    return control_layout.derive_control_settings(shapes)
