"""ControlNets in the models folder: told from what else is called so, added, listed, offered to the models they fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from safetensors.torch import load_file, save_file

from cli.models import list_models, remove
from generation.engine.control.networks import load_control
from generation.engine.devices import Device
from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.catalog import Catalog
from generation.models.control_layout import derive_control_settings, describe_control, is_control
from generation.models.controls import ControlFile, find_control
from generation.models.registry import Entry, Kind
from generation.models.verify import verify
from generation.requests.errors import ControlMismatchError, NoControlError, UnknownControlError
from tests.generation.engine.test_network_cost import STABLE_DIFFUSION, STABLE_DIFFUSION_2, XL
from tests.generation.engine.toy import REAL, REAL_OPEN_CLIP
from tests.generation.engine.toy_control import name_first, save_as_one_file, save_toy_control
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
        ({"task_embedding": (6, 320), "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}, "Union"),
        ({"controlnet_x_embedder.weight": (64, 64)}, "another family"),
        ({"body.0.in_conv.weight": (320, 3, 1, 1)}, "T2I-Adapter"),
        ({"adapter.body.0.resnets.0.block1.weight": (320, 3, 1, 1)}, "T2I-Adapter"),
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
        ({"_class_name": "ControlNetUnionModel"}, "Union"),
        ({"_class_name": "T2IAdapter"}, "T2I-Adapter"),
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


def test_a_union_is_told_by_the_names_it_really_has(tmp_path: Path) -> None:
    with torch.device("meta"):
        union = ControlNetUnionModel(**{name: value for name, value in XL.items() if name != "up_block_types"})
    file = tmp_path / "union.safetensors"
    save_file({name: torch.zeros(1) for name in union.state_dict()}, file)
    with pytest.raises(ConfigurationError, match="Union"):
        add(tmp_path / "models", file)


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
