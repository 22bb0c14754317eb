"""Which upscaler a request calls, and how it is written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from generation.requests.edits import Upscale, UpscaleNetwork
from generation.requests.errors import (
    AddonChangedError,
    AddonNameError,
    AddonNotRecordedError,
    UnknownUpscalerError,
    UpscaleFactorError,
    UpscalerFactorError,
)
from generation.requests.upscalers import Upscaler, build_upscale, check_upscale

FILE, SHA256 = "ab" * 32, "cd" * 32
SHARP = Upscaler(name="Sharp", path=Path("sharp.safetensors"), sha256=SHA256, scale=4)
NETWORK = UpscaleNetwork(name="Sharp", sha256=SHA256)


def test_an_upscale_from_before_there_were_others_is_read_and_written_as_it_was() -> None:
    old = f'{{"sha256":"{FILE}","factor":2}}'
    assert msgspec.json.encode(msgspec.json.decode(old, type=Upscale)).decode() == old
    assert build_upscale(None, FILE) == msgspec.json.decode(old, type=Upscale)


def test_an_upscaler_is_written_with_its_name_and_its_files_hash() -> None:
    made = build_upscale(SHARP, FILE, factor=4)
    assert made == Upscale(sha256=FILE, factor=4, network=NETWORK)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Upscale) == made


@pytest.mark.parametrize(("scale", "factors"), [(1, (1,)), (2, (2,)), (3, (3,)), (4, (2, 4)), (8, (2, 4))])
def test_a_picture_comes_out_twice_as_large_where_that_can_be(scale: int, factors: tuple[int, ...]) -> None:
    upscaler = replace(SHARP, scale=scale)
    assert upscaler.factors == factors
    assert build_upscale(upscaler, FILE).factor == factors[0]
    with pytest.raises(UpscalerFactorError):
        build_upscale(upscaler, FILE, factor=5)


@pytest.mark.parametrize("factor", [0, 5, 2.0, True, "2"])
def test_a_forged_factor_is_refused(factor: object) -> None:
    with pytest.raises(UpscaleFactorError):
        Upscale(sha256=FILE, factor=factor, network=NETWORK)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [1, 3, 4])
def test_without_an_upscaler_a_picture_is_only_doubled(factor: int) -> None:
    with pytest.raises(UpscaleFactorError):
        Upscale(sha256=FILE, factor=factor)
    with pytest.raises(UpscaleFactorError):
        build_upscale(None, FILE, factor=factor)


def test_only_an_upscaler_that_is_here_and_the_same_may_be_called() -> None:
    check_upscale((), Upscale(sha256=FILE))
    check_upscale((SHARP,), Upscale(sha256=FILE, network=NETWORK))
    with pytest.raises(UnknownUpscalerError):
        check_upscale((), Upscale(sha256=FILE, network=NETWORK))
    with pytest.raises(AddonChangedError):
        check_upscale((replace(SHARP, sha256="ee" * 32),), Upscale(sha256=FILE, network=NETWORK))
    with pytest.raises(UpscalerFactorError):
        check_upscale((SHARP,), Upscale(sha256=FILE, factor=3, network=NETWORK))


def test_a_forged_name_or_hash_is_refused() -> None:
    with pytest.raises(AddonNameError):
        UpscaleNetwork(name="../x", sha256=SHA256)
    with pytest.raises(AddonNotRecordedError):
        UpscaleNetwork(name="x", sha256="")
