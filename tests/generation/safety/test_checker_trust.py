"""Which pictures a checker can judge: those of a model with a real one, and Paintbox's from words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.safety.checker_trust import is_vetted


def test_only_a_real_checker_counts_for_uploads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    built_in = Catalog.open(PAINTBOX).get(PAINTBOX)
    real, bare = replace(built_in, name="real", safety_checker=tmp_path), replace(built_in, safety_checker=None)

    def judged_from(model: Model, *, upload: bool, checks: bool = True) -> bool:
        return is_vetted(model, checks_safety=checks, is_from_upload=upload)

    assert [judged_from(each, upload=True) for each in (built_in, real, bare)] == [False, True, False]
    assert [judged_from(each, upload=False) for each in (built_in, real, bare)] == [True, True, True]
    assert [judged_from(each, upload=True, checks=False) for each in (built_in, real)] == [False, False]
    assert [judged_from(each, upload=False, checks=False) for each in (built_in, real)] == [True, False]
