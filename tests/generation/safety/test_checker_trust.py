"""Which pictures are checked before they are shown outside age-restricted channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generation.models.catalog import PAINTBOX, Catalog
from generation.safety.checker_trust import SHARED, is_judged, is_vetted

BUILT_IN = Catalog.open(PAINTBOX).get(PAINTBOX)


def test_every_model_is_checked_unless_checking_is_off() -> None:
    other = replace(BUILT_IN, name="other", safety_checker=None)
    for model in (BUILT_IN, other):
        assert [is_vetted(model, checks_safety=True, is_from_upload=upload) for upload in (False, True)] == [True, True]
    assert [is_vetted(model, checks_safety=False, is_from_upload=False) for model in (BUILT_IN, other)] == [True, False]
    assert not is_vetted(BUILT_IN, checks_safety=False, is_from_upload=True)


def test_the_shared_checkers_vouch_for_a_picture_and_the_stand_in_does_not(tmp_path: Path) -> None:
    """Pictures of earlier releases have the scores of their model's own checker only."""
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    real, bare = (replace(BUILT_IN, name="other", safety_checker=checker) for checker in (tmp_path, None))
    copied = replace(BUILT_IN, name="other")
    old, new = {"care": -1.0, "concept": -1.0}, {"concept": -1.0, **dict.fromkeys(SHARED, -0.5)}
    for model in (BUILT_IN, real, bare, copied):
        assert is_judged(model, new, is_from_upload=True)
        assert is_judged(model, old, is_from_upload=True) is (model is real)
        assert is_judged(model, old, is_from_upload=False) is (model in (BUILT_IN, real))
        assert is_judged(model, {}, is_from_upload=True) is (model is real)
