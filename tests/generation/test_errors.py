"""The names of failures are stored with images, so they outlive the classes."""

from __future__ import annotations

import pytest

from generation.errors import FailedError, InvalidRequestError, failure_class

STORED = (
    *("WorkerLost", "OutOfMemory", "ModelUnusable", "NotFinite", "Outdated"),
    *("Withheld", "StartWithheld", "SourceLost"),
)


@pytest.mark.parametrize("code", STORED)
def test_a_stored_name_finds_its_failure(code: str) -> None:
    found = failure_class(code)
    assert found.code == code and found is not FailedError


@pytest.mark.parametrize("code", [None, "", "InvalidRequest", "OfAnotherRelease"])
def test_any_other_name_is_a_plain_failure(code: str | None) -> None:
    assert failure_class(code) is FailedError


def test_the_other_stored_names_are_unchanged() -> None:
    assert (FailedError.code, InvalidRequestError.code) == ("Failed", "InvalidRequest")
