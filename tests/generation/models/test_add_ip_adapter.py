"""IP-Adapters in the models folder: told from what else is called so, added with their image encoder, listed, offered
to the models they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cli.models import list_models, remove
from generation.engine.devices import Device
from generation.engine.errors import AddonUnusableError
from generation.engine.ip_adapter.networks import load_ip_adapter
from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.catalog import Catalog
from generation.models.checkpoint import IncompatibleFileError
from generation.models.ip_adapter_layout import read_ip_adapter
from generation.models.ip_adapters import find_ip_adapter, require_ip_adapter
from generation.models.registry import Entry, Kind
from generation.models.scan import find_candidates
from generation.models.verify import verify
from generation.requests.errors import AddonChangedError, NoIpAdapterError, UnknownIpAdapterError
from tests.generation.engine.toy import XL_SHAPED
from tests.generation.engine.toy_ip_adapter import looking_by, save_toy_encoder, save_toy_ip_adapter
from tests.generation.engine.trial_here import require_fitting_here, require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


def add(folder: Path, path: Path, **options: Any) -> Entry:
    """Add it; `require_loadable_here` loads the built-in model beside it, so only some tests ask for that."""
    tried: dict[str, Any] = {"require_loadable": lambda model: None, "require_fitting": require_fitting_here}
    return add_path(folder, path, say=lambda line: None, **tried | options)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both kinds and the encoder beside them, as repositories have it."""
    folder = tmp_path_factory.mktemp("IP-Adapter")
    for plus in (False, True):
        save_toy_ip_adapter(folder, name="plus" if plus else "standard", plus=plus)
    return folder


def refusal(folder: Path, path: Path, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        add(folder, path, **options)
    assert not (folder / "models.json").exists(), "nothing was entered"
    return str(refused.value)


def test_one_is_added_with_the_encoder_beside_it_listed_verified_and_removed(toys: Path, tmp_path: Path) -> None:
    first, second = (add(tmp_path, toys / f"{name}.safetensors") for name in ("standard", "plus"))
    assert (first.kind, first.family, first.context_width) == (Kind.IP_ADAPTER, "", 16)
    encoder = first.image_encoder
    assert encoder == second.image_encoder and encoder.endswith("-image-encoder")
    lines = list(list_models(tmp_path))
    assert any(line.startswith(f"image-encoder {encoder}  (") for line in lines)
    assert any(line.startswith(f"ip-adapter standard  (for models of width 16, through {encoder};") for line in lines)
    assert [found.problem for found in verify(tmp_path)] == ["", "", ""]
    offered = Catalog.open("paintbox", tmp_path).models
    assert all(model.ip_adapters == () for model in offered), "the built-in model reads prompts of another width"
    with pytest.raises(ConfigurationError, match="standard, plus uses it as its image encoder"):
        remove(tmp_path, encoder, say=lambda line: None)
    for name in ("standard", "plus", encoder):
        remove(tmp_path, name, say=lambda line: None)


def test_what_is_added_is_offered_to_models_of_its_width_and_loads(toys: Path, tmp_path: Path) -> None:
    width = Catalog.open("paintbox").default.context_width
    sizes = replace(XL_SHAPED, width=width)
    (tmp_path / "files").mkdir()
    file = save_toy_ip_adapter(tmp_path / "files", sizes=sizes)
    add(tmp_path / "models", file.path, require_loadable=require_loadable_here)
    catalog = Catalog.open("paintbox", tmp_path / "models")
    (offered,) = catalog.default.ip_adapters
    assert (offered.name, offered.encoder.name) == ("looks", "image_encoder")
    load_ip_adapter(offered, Device(torch.device("cpu"), torch.float32, 1))
    save_toy_encoder(offered.encoder, seed=9)
    with pytest.raises(AddonUnusableError, match="has changed"):
        load_ip_adapter(offered, Device(torch.device("cpu"), torch.float32, 1))
    file.path.unlink()
    gone = Catalog.open("paintbox", tmp_path / "models")
    assert gone.default.ip_adapters == () and "is not there" in gone.left_out["looks"]


def test_an_encoder_may_be_named_by_its_path_or_its_name_and_must_fit(toys: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("standard", "plus"):
        (alone / f"{name}.safetensors").write_bytes((toys / f"{name}.safetensors").read_bytes())
    models = tmp_path / "models"
    assert "no image encoder is here" in refusal(models, alone / "standard.safetensors")
    other = save_toy_encoder(tmp_path / "other", projection_dim=20)
    with pytest.raises(ConfigurationError, match=r"other\S* says 20 numbers of a picture, and \S+ reads 12\."):
        add(models, alone / "standard.safetensors", image_encoder=str(other))
    right = add(models, toys / "image_encoder", name="vit")
    assert right.kind is Kind.IMAGE_ENCODER
    assert add(models, alone / "standard.safetensors").image_encoder == "vit", "the one that fits is found"
    assert add(models, alone / "plus.safetensors", image_encoder="vit").image_encoder == "vit"
    with pytest.raises(ConfigurationError, match="--image-encoder is for IP-Adapters"):
        add(models, toys / "image_encoder", name="vit2", image_encoder="vit")
    with pytest.raises(ConfigurationError, match="is an IP-Adapter, not an image encoder"):
        add(models, alone / "plus.safetensors", name="p", image_encoder=str(toys / "standard.safetensors"))


OTHERS = {
    "FLUX": (
        ["double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight", "ip_adapter_proj_model.proj.weight"],
        "FLUX",
    ),
    "FaceID": (["image_proj.proj.0.weight", "image_proj.norm.weight", "ip_adapter.0.to_q_lora.down.weight"], "FaceID"),
    "FaceID without LoRA": (
        ["image_proj.proj.0.weight", "image_proj.norm.weight", "ip_adapter.1.to_k_ip.weight"],
        "FaceID",
    ),
    "FaceID Plus": (
        ["image_proj.perceiver_resampler.proj_in.weight", "image_proj.proj.0.weight", "ip_adapter.1.to_k_ip.weight"],
        "FaceID Plus",
    ),
    "Full Face": (["image_proj.proj.0.weight", "image_proj.proj.3.weight", "ip_adapter.1.to_k_ip.weight"], "Full Face"),
    "SD 3": (["image_proj.time_embedding.linear_1.weight", "ip_adapter.0.to_k_ip.weight"], "Stable Diffusion 3"),
}


@pytest.mark.parametrize(("names", "what"), OTHERS.values(), ids=OTHERS)
def test_other_kinds_are_refused_by_their_name(tmp_path: Path, names: list[str], what: str) -> None:
    file = tmp_path / "other.safetensors"
    save_file({name: torch.ones(4, 4) for name in names}, file)
    assert (
        f"is an IP-Adapter of {what}" in (said := refusal(tmp_path / "models", file)) or f"IP-Adapter {what}," in said
    )
    assert said.count(". ") == 1, "one sentence, and what can be done"


def standard(width: int, seen: int, **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"image_proj.proj.weight": (4 * width, seen)}
    for number in (1, 3):
        shapes |= {f"ip_adapter.{number}.{part}.weight": (320, width) for part in ("to_k_ip", "to_v_ip")}
    return shapes | more


def plus(width: int, seen: int) -> dict[str, tuple[int, ...]]:
    shapes = {name: shape for name, shape in standard(width, seen).items() if name.startswith("ip_adapter.")}
    inner = {"latents": (1, 16, 768), "proj_in.weight": (768, seen), "proj_out.weight": (width, 768)}
    return shapes | {f"image_proj.{name}": shape for name, shape in inner.items()}


@pytest.mark.parametrize(
    ("shapes", "family"),
    [(standard(768, 1024), "sd"), (standard(2048, 1280), "sdxl"), (plus(768, 1280), "sd"), (plus(2048, 1280), "sdxl")],
    ids=["SD 1.5", "XL", "SD 1.5 plus", "XL plus"],
)
def test_published_ones_are_known(shapes: dict[str, tuple[int, ...]], family: str) -> None:
    layout = read_ip_adapter(shapes)
    assert (layout.family, layout.numbers, layout.is_plus) == (family, (1, 3), "image_proj.latents" in shapes)


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        (plus(2048, 512), "InstantID"),
        (plus(2048, 1024), "Kolors"),
        (standard(768, 1024) | {"ip_adapter.3.to_v_ip.weight": (320, 700)}, "names or shapes"),
        (standard(768, 1024) | {"image_proj.proj.weight": (4 * 700, 1024)}, "do not fit each other"),
        ({name: shape for name, shape in standard(768, 1024).items() if ".1." not in name}, "do not fit each other"),
        ({name: shape for name, shape in standard(768, 1024).items() if "to_v_ip" not in name}, "names or shapes"),
        (standard(768, 1024) | {"ip_adapter.3.to_k_ip.weight": (320,)}, "names or shapes"),
    ],
)
def test_damaged_ones_are_refused(shapes: dict[str, tuple[int, ...]], why: str) -> None:
    with pytest.raises(IncompatibleFileError, match=why):
        read_ip_adapter(shapes)


def test_what_does_not_load_is_not_added(toys: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    tensors = load_file(save_toy_ip_adapter(folder, name="plus", plus=True).path)
    del tensors["image_proj.layers.1.1.3.weight"]
    save_file(tensors, folder / "plus.safetensors")
    with pytest.raises(ConfigurationError, match="does not fit its names"):
        add(tmp_path / "models", folder / "plus.safetensors", require_loadable=require_loadable_here)
    pickled = folder / "ip-adapter_sd15.bin"
    pickled.write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=r"\.bin file, which can run code"):
        add(tmp_path / "models", pickled)


def test_a_scan_finds_encoders_before_what_sees_through_them(toys: Path) -> None:
    found = [path.name for path in find_candidates(toys.parent) if toys in path.parents]
    assert found == ["image_encoder", "plus.safetensors", "standard.safetensors"]


def test_a_request_names_one_that_fits_and_is_the_same(toys: Path) -> None:
    file = save_toy_ip_adapter(toys, name="standard")
    assert find_ip_adapter([file], None, model="m") is file
    with pytest.raises(NoIpAdapterError):
        find_ip_adapter([], None, model="m")
    with pytest.raises(UnknownIpAdapterError, match="Available: standard"):
        find_ip_adapter([file], "other", model="m")
    require_ip_adapter([file], looking_by(file), model="m")
    with pytest.raises(AddonChangedError):
        require_ip_adapter([file], looking_by(file, adapter_sha256="a" * 64), model="m")
