"""Files of a refused request are deleted at once; files that anything else needs stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from generation.images.store import ImageFiles

DATA = b"a picture"


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    return ImageFiles(tmp_path / "pictures")


def test_the_file_of_a_refused_request_goes_and_that_of_an_accepted_one_stays(files: ImageFiles) -> None:
    refused, accepted = files.lend(DATA), files.lend(b"another")
    files.end_loan(refused, is_kept=False)
    files.end_loan(accepted, is_kept=True)
    assert files.get(refused.sha256) is None
    assert files.get(accepted.sha256) == b"another"


def test_an_earlier_file_stays(files: ImageFiles) -> None:
    sha256 = files.put(DATA)
    files.end_loan(files.lend(DATA), is_kept=False)
    assert files.get(sha256) == DATA


@pytest.mark.parametrize("first_is_kept", [True, False])
def test_a_shared_file_stays_if_one_request_is_accepted(files: ImageFiles, first_is_kept: bool) -> None:
    first, second = files.lend(DATA), files.lend(DATA)
    files.end_loan(first, is_kept=first_is_kept)
    assert files.get(first.sha256) == DATA, "the other may yet be accepted"
    files.end_loan(second, is_kept=not first_is_kept)
    assert files.get(first.sha256) == DATA


def test_two_refused_requests_leave_no_shared_file(files: ImageFiles, tmp_path: Path) -> None:
    loans = [files.lend(DATA), files.lend(DATA)]
    for loan in loans:
        files.end_loan(loan, is_kept=False)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_picture_that_is_finished_meanwhile_to_the_same_bytes_stays(files: ImageFiles) -> None:
    loan = files.lend(DATA)
    files.put(DATA)
    files.end_loan(loan, is_kept=False)
    assert files.get(loan.sha256) == DATA


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_file_that_is_given_up_while_it_is_lent_goes_only_with_a_refusal(files: ImageFiles, is_kept: bool) -> None:
    """The picture it came with first is deleted while it is attached once more."""
    files.put(DATA)
    loan = files.lend(DATA)
    assert files.remove(loan.sha256)
    assert files.get(loan.sha256) == DATA, "the request may yet be accepted"
    files.end_loan(loan, is_kept=is_kept)
    assert (files.get(loan.sha256) == DATA) is is_kept
    assert files.remove(loan.sha256) is is_kept


def test_a_damaged_file_is_written_again_and_stays(files: ImageFiles, tmp_path: Path) -> None:
    sha256 = files.put(DATA)
    (path,) = (tmp_path / "pictures").rglob("*.png")
    path.write_bytes(b"damaged")
    files.end_loan(files.lend(DATA), is_kept=False)
    assert files.get(sha256) == DATA


def test_a_full_disk_leaves_nothing_half_written(files: ImageFiles, tmp_path: Path) -> None:
    sha256 = files.put(DATA)
    target = tmp_path / "pictures" / sha256[:2] / f"{sha256}.png"
    target.unlink()
    target.mkdir()  # what cannot be replaced
    with pytest.raises(OSError):
        files.put(DATA)
    assert not list(tmp_path.rglob("tmp*"))


def test_new_bytes_are_counted_once(files: ImageFiles) -> None:
    files.put(DATA)
    files.put(DATA)
    files.lend(b"more")
    assert files.num_bytes_put == len(DATA) + len(b"more")


def test_lent_files_are_not_swept(files: ImageFiles) -> None:
    """The clock was set ahead while a request is being checked."""
    loan, days_later = files.lend(DATA), datetime.now(UTC) + timedelta(days=3)
    assert not files.remove_untouched(loan.sha256, until=days_later)
    files.end_loan(loan, is_kept=True)
    assert files.remove_untouched(loan.sha256, until=days_later), "the control"
