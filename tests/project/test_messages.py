"""The helper that says which message a text is."""

from __future__ import annotations

import pytest

from cogs.i18n.gettext import format_error, use_language
from generation.errors import FailedError, QueueFullError, RefusedError, TooFastError, WithheldError
from tests.messages import is_said

TOO_FAST = TooFastError(limit=3, unit="pictures", wait_s=20)


def test_the_message_of_a_class_is_known_whatever_its_details() -> None:
    assert is_said(TooFastError, f"Sorry. {TOO_FAST}")
    assert is_said(TooFastError, str(TOO_FAST), limit=3, wait_s=20)


def test_another_detail_or_another_class_is_another_message() -> None:
    assert not is_said(TooFastError, str(TOO_FAST), limit=30)
    assert not is_said(QueueFullError, str(TOO_FAST))


def test_a_parent_stands_for_each_of_its_classes() -> None:
    assert is_said(RefusedError, str(TOO_FAST), wait_s=20)
    assert is_said(FailedError, str(WithheldError()))
    assert not is_said(FailedError, str(TOO_FAST))


def test_a_template_is_known_as_a_class_is() -> None:
    assert is_said("{number} pictures (all of them)", "**12 pictures (all of them)**", number=12)
    assert not is_said("{number} pictures (all of them)", "12 pictures of them")


def test_a_message_is_known_in_the_language_spoken_now() -> None:
    with use_language("de"):
        assert is_said(TooFastError, format_error(TOO_FAST), limit=3)
    assert not is_said(TooFastError, "Das war schnell!")


def test_a_name_that_no_template_has_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="limits"):
        is_said(TooFastError, str(TOO_FAST), limits=3)
