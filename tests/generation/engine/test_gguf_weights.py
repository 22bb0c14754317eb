"""Transformers in GGUF: read by their blocks, exact in company, near what they were made from, refused when broken."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from torch import Tensor

from cli import models as command
from generation.engine.engine import Engine
from generation.engine.gguf_weights import GgufLinear, expand, take_gguf
from generation.engine.memory import loaded_bytes
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished
from generation.models.catalog import Catalog, Model
from generation.models.gguf_header import FORMATS, WHOLE, check_gguf, read_gguf
from generation.models.hashing import digest_file
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy_files import name_as_published, read_transformer
from tests.generation.engine.toy_flow import save_toy_klein, save_toy_zimage
from tests.generation.engine.trial_here import require_loadable_here

SAVE: dict[str, Callable[..., Path]] = {"zimage": save_toy_zimage, "klein": save_toy_klein}
TOLERANCE = {Kind.Q8_0: 4.0, Kind.Q5_1: 16.0, Kind.Q4_0: 32.0, Kind.BF16: 2.0}
"""Mean difference to the picture of the weights before they were rounded, in levels of 255: toys are rough."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in SAVE.items()}


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def save_gguf(weights: dict[str, Tensor], file: Path, kind: Kind, *, arch: str = "lumina2") -> Path:
    """Write a file as city96's tools do: the authors' names, blocks where rows are wide enough, the rest whole."""
    writer = gguf.GGUFWriter(str(file), arch=arch)
    writer.add_array("some.list", ["a", "b"])
    for name, weight in weights.items():
        numbers = weight.float().numpy()
        if weight.dim() == 2 and weight.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] == 0 and "pad_token" not in name:
            writer.add_tensor(name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def multiplied_out(file: Path) -> dict[str, Tensor]:
    """Return all weights by the package's own arithmetic, which is not ours."""
    found = gguf.GGUFReader(str(file)).tensors
    plain = {each.name: gguf.quants.dequantize(each.data, each.tensor_type) for each in found}
    return {name: torch.from_numpy(np.array(each, np.float32)) for name, each in plain.items()}


def add(models_dir: Path, path: Path, **options: Any) -> Model:
    command.add(models_dir, str(path), say=lambda line: None, **options)
    return Catalog.open(options.get("name", path.stem), models_dir).default


def picture(model: Model, **settings: Any) -> Finished:
    engine = Engine([model], EngineSettings(num_threads=1, **settings))
    return paint(engine, an_order(a_spec(model=model.name, sampler="Euler", steps=2, guidance=1.0)))


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("family", ["zimage", pytest.param("klein", marks=pytest.mark.long)])
def test_blocks_paint_what_they_multiplied_out_paint(
    folders: dict[str, Path], tmp_path: Path, family: str, kind: Kind
) -> None:
    folder, models_dir = folders[family], tmp_path / "models"
    file = save_gguf(name_as_published(read_transformer(folder), family), tmp_path / "small.gguf", kind)
    small = add(models_dir, file, config=str(folder))
    save_file(multiplied_out(file), tmp_path / "whole.safetensors")
    whole = add(models_dir, tmp_path / "whole.safetensors", config=str(folder))
    original = add(models_dir, folder, name="original")
    made = [picture(model) for model in (small, whole, original)]
    assert np.abs(as_array(made[0]) - as_array(made[1])).max() <= 1, (
        "weights elsewhere in memory may have other last bits"
    )
    assert made[0].storage == ("" if kind is Kind.BF16 else f"denoiser gguf {kind.name} {gguf_version()}")
    off = np.abs(as_array(made[0]) - as_array(made[2])).mean()
    assert off < TOLERANCE[kind], f"{kind.name} is off by {off:.2f} of 255"
    if kind is not Kind.BF16:
        assert loaded_bytes(small, 2) < loaded_bytes(whole, 2)


def gguf_version() -> str:
    from importlib.metadata import version

    return version("gguf")


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("family", "kind"), [("zimage", Kind.Q4_0), pytest.param("klein", Kind.Q8_0, marks=pytest.mark.long)]
)
def test_pictures_of_blocks_are_replayed_to_the_byte(
    folders: dict[str, Path], tmp_path: Path, family: str, kind: Kind, dtype: str
) -> None:
    file = save_gguf(name_as_published(read_transformer(folders[family]), family), tmp_path / "toy.gguf", kind)
    engine = Engine(
        [add(tmp_path / "models", file, config=str(folders[family]))], EngineSettings(dtype=dtype, num_threads=1)
    )
    rng = random.Random(dtype)
    orders = [
        an_order(
            a_spec(
                prompt=rng.choice(["a red cat", "blue", "a harbour in the fog, evening light"]),
                sampler=rng.choice(["Euler", "Euler a"]),
                steps=rng.randint(2, 4),
                guidance=rng.choice([1.0, 4.0]),
                seed=rng.randrange(2**32),
                **rng.choice([{}, {"start": a_start(strength=0.5)}]),
            ),
            image_id=f"{index}-0",
        )
        for index in range(8)
    ]
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels, order.spec


@pytest.mark.parametrize("kind", sorted(FORMATS.keys() - WHOLE))
def test_every_type_of_block_is_multiplied_out_as_the_package_does(tmp_path: Path, kind: int) -> None:
    """K-quants too, which the package cannot write: their bytes are drawn, and their scales are small numbers."""
    form, rng = FORMATS[kind], np.random.default_rng(kind)
    blocks = rng.integers(0, 256, (6, form.size), np.uint8)
    for at in form.scales:
        blocks[:, at : at + 2] = rng.uniform(0.01, 1, (6, 1)).astype("<f2").view(np.uint8)
    writer = gguf.GGUFWriter(str(tmp_path / "x.gguf"), arch="flux")
    writer.add_tensor("w", blocks.reshape(3, -1), raw_dtype=Kind(kind))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    assert Kind(kind).name == form.name
    assert gguf.GGML_QUANT_SIZES[Kind(kind)] == (form.numbers, form.size)
    assert check_gguf(tmp_path / "x.gguf") == digest_file(tmp_path / "x.gguf")
    weight = take_gguf(tmp_path / "x.gguf")["w"]
    expected = gguf.quants.dequantize(blocks.reshape(3, -1), Kind(kind))
    assert np.allclose(expand(weight, torch.float32).numpy(), expected, rtol=1e-6, atol=0)
    layer, ones = GgufLinear(weight, None), torch.eye(layer_width := weight.quant_shape[1])
    assert np.allclose(layer(ones).numpy(), expected.T, rtol=1e-5, atol=1e-6), layer_width
    blocks[4, form.scales[0] : form.scales[0] + 2] = np.array([0x00, 0x7E], np.uint8)  # NaN
    data = (tmp_path / "x.gguf").read_bytes()
    begin = read_gguf(tmp_path / "x.gguf")[0]["w"].begin
    (tmp_path / "x.gguf").write_bytes(data[:begin] + blocks.tobytes() + data[begin + blocks.size :])
    with pytest.raises(ValueError, match=r"not finite \(w\)"):
        check_gguf(tmp_path / "x.gguf")


def _header(*, version: int = 3, tensors: int = 1, settings: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, settings)


def _tensor(name: bytes = b"w", sides: tuple[int, ...] = (32, 2), kind: int = 8, offset: int = 0) -> bytes:
    packed = struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, kind, offset)
    return struct.pack("<Q", len(name)) + name + packed


def _padded(header: bytes, data: bytes = bytes(68)) -> bytes:
    return header + bytes(-len(header) % 32) + data


BROKEN = {
    "a pickle": (b"PK\x03\x04" + bytes(100), "is no GGUF file"),
    "empty": (b"", "header does not end"),
    "an old version": (_header(version=1), "version 1, and 2 and 3 are read"),
    "the other order of bytes": (b"GGUF" + struct.pack(">IQQ", 3, 1, 0), "version"),
    "too many tensors": (_header(tensors=2**40), "too many things"),
    "too many settings": (_header(settings=2**40), "too many things"),
    "a name without end": (_header() + struct.pack("<Q", 2**62), "name that is too long"),
    "a list without end": (
        _header(settings=1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 10, 2**61),
        "header does not end",
    ),
    "a list of lists": (_header(settings=1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 9, 1), "not known"),
    "many dimensions": (_header() + struct.pack("<Q", 1) + b"w" + struct.pack("<I", 2**31), "dimensions"),
    "no numbers": (_padded(_header() + _tensor(sides=(32, 0))), "shape that its type cannot have"),
    "half a block": (_padded(_header() + _tensor(sides=(33, 2))), "shape that its type cannot have"),
    "an unknown type": (_padded(_header() + _tensor(kind=39)), "type that is not read here"),
    "a huge shape": (_padded(_header() + _tensor(sides=(2**40, 2**40))), "ends before its data do"),
    "an offset far out": (_padded(_header() + _tensor(offset=2**63)), "ends before its data do"),
    "cut": (_padded(_header() + _tensor(), bytes(67)), "ends before its data do"),
    "an overlap": (_padded(_header(tensors=2) + _tensor() + _tensor(b"v", offset=32), bytes(200)), "overlap"),
    "a name twice": (_padded(_header(tensors=2) + _tensor() + _tensor(offset=96), bytes(200)), "twice"),
    "odd letters": (_padded(_header() + _tensor(b"\xff\xfe")), "no GGUF file that can be read"),
    "an odd alignment": (
        _header(settings=1) + struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<II", 4, 3) + _tensor(),
        "no order that is known",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_before_anything_is_read_of_its_data(tmp_path: Path, name: str) -> None:
    content, said = BROKEN[name]
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        add(tmp_path / "models", tmp_path / "x.gguf")


def test_a_whole_file_passes(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(_padded(_header() + _tensor()))
    assert read_gguf(tmp_path / "x.gguf")[0]["w"].shape == (2, 32)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blk.0.attn_q.weight", "of the architecture 'lumina2' in GGUF"),
        ("input_blocks.0.0.weight", "of another model than those that are run here"),
    ],
)
def test_gguf_of_other_models_is_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    save_gguf({name: torch.zeros(2, 32)}, tmp_path / "x.gguf", Kind.Q8_0)
    with pytest.raises(ConfigurationError, match=said):
        add(tmp_path / "models", tmp_path / "x.gguf")
