"""The names of failures are stored with images, so they outlive the classes."""

from __future__ import annotations

import json

import pytest

from generation.errors import (
    BlockedByRuleError,
    FailedError,
    InvalidRequestError,
    NotUtf8Error,
    failure_class,
    unpack_error,
)
from generation.translatable import Phrase

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


def test_an_error_of_another_process_is_of_the_same_class_and_can_be_translated() -> None:
    sent = BlockedByRuleError(reason=Phrase("in {days} days", days=0.5))
    got = unpack_error(json.loads(json.dumps(sent.packed())))
    assert type(got) is BlockedByRuleError and str(got) == str(sent)
    assert isinstance(reason := got.details["reason"], Phrase) and reason.template == "in {days} days"
    assert type(unpack_error(NotUtf8Error(byte=2).packed())) is NotUtf8Error


def test_a_class_that_is_not_known_is_no_error_of_ours() -> None:
    with pytest.raises(LookupError):
        unpack_error(["OfAnotherRelease", {}])
