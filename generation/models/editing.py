"""Which models edit pictures by instruction, and the size at which one sees a picture."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from generation.models.catalog import Model
from generation.models.sizes import find_closest_shape, get_native_size, require_size
from generation.requests.errors import CannotEditError, ModelReferencesError, NoEditorError
from generation.requests.references import Reference


def can_edit(model: Model) -> bool:
    return model.info.max_references > 0


def list_editors(models: Iterable[Model]) -> tuple[Model, ...]:
    """Return the models that edit by instruction."""
    return tuple(filter(can_edit, models))


def find_editor(models: Iterable[Model], *, allowed: Collection[str] = ()) -> Model:
    """Return the model that edits where none is named: the first that can.

    `allowed`: the names that the server allows; none: all. Raise `NoEditorError` if there is none.
    """
    found = (each for each in models if can_edit(each) and (not allowed or each.name in allowed))
    editor = next(found, None)
    if editor is None:
        raise NoEditorError
    return editor


def require_editor(model: Model, models: Iterable[Model]) -> None:
    """Raise `InvalidRequestError` unless the model edits by instruction: it names those that do."""
    if can_edit(model):
        return
    available = ", ".join(each.name for each in list_editors(models))
    if not available:
        raise NoEditorError
    raise CannotEditError(model=model.name, available=available)


def require_references(model: Model, models: Iterable[Model], references: Sequence[Reference]) -> None:
    """Raise `InvalidRequestError` unless the model takes so many pictures of these sizes."""
    require_editor(model, models)
    if len(references) > (most := model.info.max_references):
        raise ModelReferencesError(model=model.name, most=most, number=len(references))
    for each in references:
        require_size(model, each.size_px)


def choose_reference_size(model: Model, size_px: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size at which the model sees a picture of that size: the nearest of the shapes that it paints.

    Only pictures whose references are as large as each other's share the model's work, so there are few sizes.
    """
    return get_native_size(model) if size_px is None else find_closest_shape(model, size_px)


def refer_to(model: Model, sha256: str, size_px: tuple[int, int] | None) -> Reference:
    """Return a picture of that size as the model sees it."""
    width_px, height_px = choose_reference_size(model, size_px)
    return Reference(sha256=sha256, width_px=width_px, height_px=height_px)
