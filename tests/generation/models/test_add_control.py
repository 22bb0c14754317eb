"""ControlNets in the models folder: told from what else is called so, added, listed, offered to the models they fit."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from msgspec import UNSET
from safetensors.torch import load_file, save_file

from cli.models import list_models, remove
from generation.engine.control.adapter_fit import require_adapter_fit
from generation.engine.control.networks import load_control
from generation.engine.devices import Device
from generation.engine.errors import AddonUnusableError
from generation.errors import ConfigurationError
from generation.models.adapter_layout import describe_adapter_settings
from generation.models.add import add_path
from generation.models.catalog import Catalog
from generation.models.control_kinds import describe_control_file
from generation.models.control_layout import derive_control_settings, describe_control, is_control
from generation.models.controls import ControlFile, find_control, require_controls
from generation.models.registry import Entry, Kind
from generation.models.verify import verify
from generation.requests.control import ADAPTER, UNION, Control
from generation.requests.errors import (
    AddonChangedError,
    ControlMismatchError,
    ControlModeUnknownError,
    NoControlError,
    UnknownControlError,
)
from tests.generation.engine.test_network_cost import STABLE_DIFFUSION, STABLE_DIFFUSION_2, XL
from tests.generation.engine.toy import REAL, REAL_OPEN_CLIP
from tests.generation.engine.toy_control import (
    name_first,
    save_as_one_file,
    save_toy_adapter,
    save_toy_control,
    save_toy_union,
)
from tests.generation.engine.trial_here import require_fitting_here, require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
HINT = {"conditioning_embedding_out_channels": (16, 32, 96, 256)}


def add(folder: Path, path: Path, **options: Any) -> Entry:
    return add_path(
        folder,
        path,
        say=lambda line: None,
        require_loadable=require_loadable_here,
        require_fitting=require_fitting_here,
        **options,
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sizes that files without settings have."""
    return save_toy_control(tmp_path_factory.mktemp("real"), sizes=REAL).path


def test_a_folder_is_added_listed_verified_and_removed(real: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    entry = add(models, real, name="sd15-canny")
    assert (entry.kind, entry.family, entry.context_width) == (Kind.CONTROL, "sd", 64)
    (file,) = Catalog.open("paintbox", models).controls
    assert (file.path, file.config, file.preprocessor) == (real, None, "canny")
    assert any(line.startswith("controlnet sd15-canny  (for sd, width 64;") for line in list_models(models))
    assert [found.problem for found in verify(models)] == [""]
    remove(models, "sd15-canny", say=lambda line: None)
    assert Catalog.open("paintbox", models).controls == ()


@pytest.mark.parametrize("prefix", [None, "", "control_model."], ids=["diffusers", "first, bare", "first"])
@pytest.mark.parametrize("sizes", [REAL, REAL_OPEN_CLIP], ids=["1.5", "2"])
def test_a_single_file_is_the_folder_it_was_made_of(tmp_path: Path, prefix: str | None, sizes: Any) -> None:
    folder = save_toy_control(tmp_path, sizes=sizes).path
    file = save_as_one_file(folder, tmp_path / "files" / "control_depth.safetensors", prefix=prefix)
    entry = add(tmp_path / "models", file)
    assert (entry.kind, entry.family, entry.context_width) == (Kind.CONTROL, "sd", 64)
    (control,) = Catalog.open("paintbox", tmp_path / "models").controls
    assert control.config is not None and [found.problem for found in verify(tmp_path / "models")] == [""]
    loaded = load_control(control, Device(torch.device("cpu"), torch.float32, 1)).state_dict()
    whole = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert loaded.keys() == whole.keys()
    assert all(torch.equal(loaded[name], whole[name]) for name in whole)


@pytest.mark.parametrize("first", [False, True], ids=["diffusers", "first"])
@pytest.mark.parametrize(
    ("family", "settings"),
    [("sd", STABLE_DIFFUSION), ("sd", STABLE_DIFFUSION_2), ("sdxl", XL)],
    ids=["1.5", "2", "XL"],
)
def test_the_settings_of_a_full_size_file_are_those_of_its_folder(
    family: str, settings: dict[str, Any], first: bool
) -> None:
    own = {name: value for name, value in settings.items() if name != "up_block_types"}
    with torch.device("meta"):
        network = ControlNetModel(**own)
        shapes = {name: tuple(each.shape) for name, each in network.state_dict().items()}
        if first:
            shapes = {_name_full(name, network): shape for name, shape in shapes.items()}
        assert is_control(shapes) and describe_control(shapes) == (family, settings["cross_attention_dim"])
        derived = derive_control_settings(shapes)
        again = ControlNetModel(**{name: value for name, value in derived.items() if name != "_class_name"})
    assert {name: each.shape for name, each in again.state_dict().items()} == {
        name: each.shape for name, each in network.state_dict().items()
    }
    heads = network.config.attention_head_dim
    assert derived["attention_head_dim"] == (heads if isinstance(heads, list) else [heads] * 4)


def _name_full(name: str, network: Any) -> str:
    """Return the first ControlNets' name in a network of any number of levels."""
    parts = name.split(".")
    if parts[0] != "down_blocks":
        return "control_model." + name_first(name)
    each = network.config.layers_per_block + 1
    level, place = int(parts[1]), int(parts[3])
    if parts[2] == "downsamplers":
        return f"control_model.input_blocks.{(level + 1) * each}.0.op.{parts[-1]}"
    block = f"input_blocks.{1 + level * each + place}.{0 if parts[2] == 'resnets' else 1}"
    inner = name_first(".".join(["down_blocks.0", parts[2], "0", *parts[4:]]))
    return f"control_model.{block}." + inner.split(".", 3)[3]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (
            {"control_model.lora_controlnet": (1,), "control_model.input_hint_block.0.weight": (16, 3, 3, 3)},
            "Control-LoRA",
        ),
        ({"difference": (1,), "control_model.input_hint_block.0.weight": (16, 3, 3, 3)}, "differences"),
        (
            {
                "task_embedding": (6, 320),
                "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
                "conv_in.weight": (320, 4, 3, 3),
            },
            "Union of another model",
        ),
        ({"controlnet_x_embedder.weight": (64, 64)}, "another family"),
        ({"style_embedding": (1, 8, 1024), "transformer_layes.0.attn.in_proj_weight": (3072, 1024)}, "for the style"),
        ({"spatial_feat_mapping.0.1.weight": (768, 320)}, "joins T2I-Adapters"),
        ({"adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3)}, "no T2I-Adapter here has"),
        (
            {"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 128, 3, 3)},
            "no T2I-Adapter here has",
        ),
        (
            {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "conv_in.weight": (320, 9, 3, 3)},
            "latents have",
        ),
        (
            {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "conv_in.weight": (320, 4, 3, 3)},
            "names or shapes",
        ),
    ],
)
def test_what_else_does_its_work_is_refused_by_name(
    tmp_path: Path, names: dict[str, tuple[int, ...]], what: str
) -> None:
    file = tmp_path / "net.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in names.items()}, file)
    with pytest.raises(ConfigurationError, match=what):
        add(tmp_path / "models", file)
    assert not (tmp_path / "models" / "models.json").exists()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"_class_name": "ControlNetUnionModel"}, "Union of another model"),
        ({"_class_name": "T2IAdapter", "downscale_factor": 4}, "T2I-Adapter of another kind"),
        ({"_class_name": "T2IAdapter", "in_channels": 4}, "one or three colours"),
        ({"_class_name": "FluxControlNetModel"}, "another family"),
        ({"_class_name": "ControlNetModel", "in_channels": 9}, "9 channels"),
        ({"_class_name": "ControlNetModel", "encoder_hid_dim": 7}, "other inputs"),
        ({"_class_name": "ControlNetModel", "conditioning_channels": 1}, "three colours"),
    ],
)
def test_folders_of_other_kinds_are_refused_by_name(tmp_path: Path, settings: dict[str, Any], what: str) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigurationError, match=what):
        add(tmp_path / "models", tmp_path / "net")


def test_the_settings_of_a_full_size_union_in_one_file_are_those_of_its_folder() -> None:
    own = {name: value for name, value in XL.items() if name != "up_block_types"} | HINT
    with torch.device("meta"):
        union = ControlNetUnionModel(**own, num_control_type=8)
        shapes = {name: tuple(each.shape) for name, each in union.state_dict().items()}
        assert describe_control_file(shapes) == ("sdxl", 2048, UNION, 8)
        derived = derive_control_settings(shapes)
        assert derived.pop("_class_name") == "ControlNetUnionModel"
        again = ControlNetUnionModel(**derived)
    assert {name: tuple(each.shape) for name, each in again.state_dict().items()} == shapes
    assert {name: value for name, value in again.config.items() if name.startswith("num_")} == {
        name: value for name, value in union.config.items() if name.startswith("num_")
    }


def test_a_union_is_added_and_knows_its_maps(tmp_path: Path) -> None:
    folder = save_toy_union(tmp_path).path
    entry = add(tmp_path / "models", folder)
    assert (entry.kind, entry.family, entry.control_kind, entry.num_modes) == (Kind.CONTROL, "sdxl", UNION, 6)
    (file,) = Catalog.open("paintbox", tmp_path / "models").controls
    assert (file.kind, file.preprocessor, file.modes[-1]) == (UNION, "canny", "segments")
    control = Control(network=file.name, network_sha256=file.sha256, sha256="c" * 64, kind=UNION, mode="tile")
    with pytest.raises(ControlModeUnknownError):
        require_controls((file,), (file,), (control,), model="m")
    require_controls((file,), (file,), (replace(control, mode="pose"),), model="m")
    for other in (replace(control, kind=UNSET, mode=UNSET), replace(control, kind=ADAPTER, mode=UNSET)):
        with pytest.raises(AddonChangedError):
            require_controls((file,), (file,), (other,), model="m")


def _first_full(name: str) -> str:
    """Return the name that the first T2I-Adapters have for a layer."""
    name = re.sub(r"body\.(\d+)\.resnets\.(\d+)", lambda at: f"body.{2 * int(at[1]) + int(at[2])}", name)
    return re.sub(r"body\.(\d+)\.in_conv", lambda at: f"body.{2 * int(at[1])}.in_conv", name)


def _first_light(name: str) -> str:
    return re.sub(r"(body\.\d+)\.resnets", r"\1.body", name)


ADAPTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "1.5": ("sd", {}),
    "grey": ("sd", {"in_channels": 1}),
    "light": ("sd", {"adapter_type": "light_adapter", "channels": [16], "num_res_blocks": 4}),
    "XL": ("sdxl", {}),
}
SHORT = {("1.5", "folder"), ("1.5", "first"), ("grey", "diffusers"), ("light", "first"), ("XL", "without prefix")}


@pytest.mark.parametrize(
    ("adapter", "dialect"),
    [
        pytest.param(*pair, marks=[] if pair in SHORT else [pytest.mark.long])
        for pair in itertools.product(ADAPTERS, ("folder", "diffusers", "without prefix", "first"))
    ],
)
def test_an_adapter_is_the_same_in_every_dialect(tmp_path: Path, adapter: str, dialect: str) -> None:
    family, options = ADAPTERS[adapter]
    folder = path = save_toy_adapter(tmp_path, family=family, **options).path
    whole = load_file(folder / "diffusion_pytorch_model.safetensors")
    if dialect != "folder":
        named = {
            name.removeprefix("adapter.") if dialect != "diffusers" else name: each for name, each in whole.items()
        }
        if dialect == "first":
            rename = _first_light if options.get("adapter_type") else _first_full
            named = {rename(name): each for name, each in named.items()}
        save_file(named, path := tmp_path / "t2iadapter_depth.safetensors")
    entry = add(tmp_path / "models", path)
    assert (entry.kind, entry.family, entry.control_kind, entry.context_width) == (Kind.CONTROL, family, ADAPTER, 0)
    (file,) = Catalog.open("paintbox", tmp_path / "models").controls
    network = load_control(file, Device(torch.device("cpu"), torch.float32, 1))
    loaded = network.state_dict()
    assert loaded.keys() == whole.keys() and all(torch.equal(loaded[name], whole[name]) for name in whole)
    theirs = json.loads((folder / "config.json").read_text())
    for name in ("adapter_type", "channels", "downscale_factor", "in_channels", "num_res_blocks"):
        assert network.config[name] == theirs[name], name


def test_adapters_of_the_usual_size_are_for_the_models_they_were_trained_with() -> None:
    usual = {"channels": [320, 640, 1280, 1280]}
    assert describe_adapter_settings(usual) == ("sd", 768), "and not for Stable Diffusion 2"
    assert describe_adapter_settings({"adapter_type": "light_adapter", "channels": [320, 640, 1280]}) == ("sd", 768)
    xl = usual | {"adapter_type": "full_adapter_xl", "downscale_factor": 16}
    assert describe_adapter_settings(xl) == ("sdxl", 2048)


def test_features_of_full_size_adapters_have_places_in_the_models() -> None:
    def unet(channels: list[int], *kinds: str) -> Any:
        return SimpleNamespace(block_out_channels=channels, down_block_types=[f"{kind}DownBlock2D" for kind in kinds])

    def adapter(kind: str, channels: list[int]) -> Any:
        return SimpleNamespace(adapter_type=kind, channels=channels)

    four, attends = [320, 640, 1280, 1280], "CrossAttn"
    sd, xl = unet(four, attends, attends, attends, ""), unet(four[:3], "", attends, attends)
    full, light = adapter("full_adapter", four), adapter("light_adapter", four[:3])
    for_xl = adapter("full_adapter_xl", four)
    for fitting, network in ((full, sd), (light, sd), (for_xl, xl)):
        require_adapter_fit("a", fitting, network)
    for other, network in ((for_xl, sd), (full, xl), (full, unet(four, "", attends, attends, ""))):
        with pytest.raises(AddonUnusableError, match="another network"):
            require_adapter_fit("a", other, network)


def test_one_that_lacks_weights_is_refused_by_the_trial(real: Path, tmp_path: Path) -> None:
    tensors = load_file(real / "diffusion_pytorch_model.safetensors")
    torn = tmp_path / "torn.safetensors"
    save_file({name: each for name, each in tensors.items() if not name.startswith("controlnet_mid_block")}, torn)
    with pytest.raises(ConfigurationError, match="weights are missing"):
        add(tmp_path / "models", torn)
    assert not list((tmp_path / "models" / "settings").glob("*"))


def test_only_fitting_ones_are_offered_and_others_named() -> None:
    one, other = (
        ControlFile(name=name, path=Path(name), sha256=name * 64, family=family, context_width=width)
        for name, family, width in (("a", "sd", 768), ("b", "sdxl", 2048))
    )
    assert one.fits("sd", 768) and not one.fits("sd", 1024) and not one.fits("sdxl", 2048)
    assert find_control((one,), (one, other), "a", model="m") == one
    for name, error in (("b", ControlMismatchError), ("c", UnknownControlError)):
        with pytest.raises(error):
            find_control((one,), (one, other), name, model="m")
    with pytest.raises(NoControlError):
        find_control((), (one, other), "a", model="m")
