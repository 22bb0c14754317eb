"""LoRA of every kind: beside a layer they give what LyCORIS and PEFT, the references, give, each row for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from lycoris.functional.general import apply_dora_scale
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from generation.engine.adapters import Adapters
from generation.engine.lora_file import read_lora
from generation.engine.lora_layers import Hadamard, LowRank, _HadamardMap
from generation.errors import InvalidRequestError
from generation.requests.prompt_addons import Adapter, PromptAddon
from tests.generation.engine.toy_extras import an_extra, called
from tests.generation.engine.toy_lycoris import (
    CONVOLUTION,
    FLAT_CONVOLUTION,
    KINDS,
    LAYERS,
    LINEAR,
    WIDER,
    make_lycoris,
    save_lycoris,
)

CLOSE = 2e-5
ROWS = 8


@pytest.fixture(scope="module")
def base(toy_folder: Path) -> nn.Module:
    """The toy's UNet, which no test changes."""
    return UNet2DConditionModel.from_pretrained(toy_folder / "unet").eval()


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """On one thread, as engines of tests are: the machine may be busy."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(num_threads)


def adapted(base: nn.Module, *loras: tuple[PromptAddon, float], dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy of a UNet with LoRA on, as an engine has it."""
    net = deepcopy(base).to(dtype)
    use(net, *loras)
    return net


def use(net: nn.Module, *loras: tuple[PromptAddon, float]) -> Adapters:
    adapters = Adapters([lora for lora, _ in loras], {"unet": net})
    adapters.use(tuple(Adapter(lora.name, lora.sha256, weight) for lora, weight in loras))
    return adapters


def an_input(base: nn.Module, layer: str, rows: int = 2, seed: int = 0) -> Tensor:
    stock: Any = base.get_submodule(layer)
    random = torch.Generator().manual_seed(seed)
    if hasattr(stock, "in_features"):
        return torch.randn(rows, 5, stock.in_features, generator=random)
    return torch.randn(rows, stock.in_channels, 6, 7, generator=random)


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_beside_every_sort_of_layer_it_gives_what_lycoris_gives(base: nn.Module, tmp_path: Path, kind: str) -> None:
    theirs = make_lycoris(kind, base)
    ours = adapted(base, (save_lycoris(tmp_path / "x.safetensors", theirs), 1.0))
    for layer in LAYERS:
        x = an_input(base, layer)
        expected = theirs[layer](x)
        assert distance(ours.get_submodule(layer)(x), expected) < CLOSE, layer
        assert distance(base.get_submodule(layer)(x), expected) > 0.01, "the control: it changes the layer"


@pytest.mark.parametrize("kind", KINDS)
def test_its_weight_scales_what_it_changes(base: nn.Module, tmp_path: Path, kind: str) -> None:
    """Of a DoRA too, as LyCORIS's `apply_dora_scale`, AUTOMATIC1111 and ComfyUI do it: at 0 nothing is left of it."""
    theirs = make_lycoris(kind, base)
    lora, ours = save_lycoris(tmp_path / "x.safetensors", theirs), deepcopy(base)
    adapters = Adapters([lora], {"unet": ours})
    for weight in (0.0, -0.6, 1.7):
        adapters.use((called(lora, weight),))
        for layer in LAYERS:
            x = an_input(base, layer)
            own = base.get_submodule(layer)(x)
            expected = own + weight * (theirs[layer](x) - own)
            assert distance(ours.get_submodule(layer)(x), expected) < CLOSE, (layer, weight)


def test_a_dora_of_columns_is_scaled_as_by_lycoris_function(base: nn.Module, tmp_path: Path) -> None:
    made = make_lycoris("DoRA of columns", base, layers=(LINEAR, CONVOLUTION))
    ours = adapted(base, (save_lycoris(tmp_path / "x.safetensors", made), 0.7))
    for layer, module in made.items():
        stock: Any = deepcopy(base.get_submodule(layer))
        change = module.make_weight() * module.scale
        weight = apply_dora_scale(stock.weight, change, module.dora_scale, 0.7)
        x = an_input(base, layer)
        stock.weight.copy_(weight)
        assert distance(ours.get_submodule(layer)(x), stock(x)) < CLOSE, layer


@pytest.mark.parametrize(
    "kinds", [("LoCon", "DoRA"), ("DoRA", "LoCon"), ("LoKr", "DoRA of columns"), ("DoRA", "LoHa of high rank", "DoRA")]
)
def test_several_add_up_each_on_the_models_own_weights(base: nn.Module, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """As LyCORIS does it when one network is put on after the other, in whatever order."""
    made = [make_lycoris(kind, base, seed=seed) for seed, kind in enumerate(kinds)]
    loras = [save_lycoris(tmp_path / f"{index}.safetensors", each) for index, each in enumerate(made)]
    ours = adapted(base, *((lora, 0.5 + 0.2 * index) for index, lora in enumerate(loras)))
    for layer in LAYERS:
        x = an_input(base, layer)
        own = base.get_submodule(layer)(x)
        parts = [(0.5 + 0.2 * index) * (each[layer](x) - own) for index, each in enumerate(made)]
        assert distance(ours.get_submodule(layer)(x), own + sum(parts)) < CLOSE, layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_in_whatever_company(
    base: nn.Module, tmp_path: Path, kind: str, dtype: torch.dtype
) -> None:
    """What exact replay rests on: the same place or another, beside other rows, in a forward of one size."""
    ours = adapted(base, (save_lycoris(tmp_path / "x.safetensors", make_lycoris(kind, base)), 0.8), dtype=dtype)
    for layer in LAYERS:
        change = ours.get_submodule(layer)
        crowd = an_input(base, layer, ROWS).to(dtype)
        alone = an_input(base, layer, 1, seed=1).to(dtype)
        results = []
        for row in (0, 3, ROWS - 1):
            batch = (crowd * (row + 1)).contiguous()
            batch[row] = alone[0]
            results.append(change(batch)[row])
        assert all(torch.equal(result, results[0]) for result in results), layer


@pytest.mark.parametrize("rank", [1, 2, 3, 5, 6, 7, 9])
def test_a_rank_that_is_no_multiple_of_four_keeps_the_bits_of_rows(base: nn.Module, rank: int) -> None:
    """Unpadded, most of these differ on the CPU: beside 77 tokens, beside one, and at single places of a picture."""
    random = torch.Generator().manual_seed(rank)
    for layer, shapes in ((LINEAR, [(77, 16), (1, 16)]), (FLAT_CONVOLUTION, [(16, 6, 7), (16, 7, 9)])):
        sides = (1, 1) if layer == FLAT_CONVOLUTION else ()
        change = LowRank(
            down=torch.randn(rank, 16, *sides, generator=random), up=torch.randn(16, rank, generator=random)
        )
        down, up = change.build(base.get_submodule(layer))
        for shape in shapes:
            for rows in (2, ROWS):
                alone, results = torch.randn(shape, generator=random), []
                for row in (0, rows - 1):
                    batch = torch.randn(rows, *shape, generator=random) * (row + 1)
                    batch[row] = alone
                    results.append(up(down(batch))[row])
                assert torch.equal(*results), (layer, shape, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_switched_off_the_layer_has_the_bits_of_before(base: nn.Module, tmp_path: Path, kind: str) -> None:
    inputs, net = {layer: an_input(base, layer) for layer in LAYERS}, deepcopy(base)
    before = {layer: base.get_submodule(layer)(x) for layer, x in inputs.items()}
    lora = save_lycoris(tmp_path / "x.safetensors", make_lycoris(kind, base))
    adapters = use(net, (lora, 1.0))
    on = {layer: net.get_submodule(layer)(x) for layer, x in inputs.items()}
    adapters.use(())
    for layer, x in inputs.items():
        assert torch.equal(net.get_submodule(layer)(x), before[layer]) and not torch.equal(on[layer], before[layer])
    adapters.use((called(lora),))
    assert all(torch.equal(net.get_submodule(layer)(x), on[layer]) for layer, x in inputs.items())


PEFT_KINDS: dict[str, Callable[[list[str]], Any]] = {
    "LoHa": lambda layers: LoHaConfig(r=3, alpha=3, target_modules=layers, init_weights=False),
    "LoHa, Tucker": lambda layers: LoHaConfig(
        r=3, alpha=3, target_modules=layers, init_weights=False, use_effective_conv2d=True
    ),
    "LoKr": lambda layers: LoKrConfig(r=2, alpha=2, target_modules=layers, init_weights=False),
    "LoKr, Tucker": lambda layers: LoKrConfig(
        r=2,
        alpha=2,
        target_modules=layers,
        init_weights=False,
        use_effective_conv2d=True,
        decompose_both=True,
        decompose_factor=2,
    ),
    "LoRA": lambda layers: LoraConfig(r=3, lora_alpha=3, target_modules=layers, init_lora_weights=False),
    "DoRA": lambda layers: LoraConfig(r=3, lora_alpha=3, target_modules=layers, init_lora_weights=False, use_dora=True),
}


@pytest.mark.parametrize("kind", PEFT_KINDS)
def test_what_peft_saves_gives_what_peft_merges(base: nn.Module, tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    theirs = get_peft_model(deepcopy(base), PEFT_KINDS[kind](list(LAYERS)))
    for name, parameter in theirs.named_parameters():
        if "magnitude" in name:
            parameter.data *= 1 + 0.3 * torch.rand(parameter.shape)
    saved, merged = get_peft_model_state_dict(theirs), theirs.merge_and_unload()
    for prefix in ("base_model.model.", "base_model.model.unet.", "unet.", ""):
        named = {name.replace("base_model.model.", prefix): tensor.clone() for name, tensor in saved.items()}
        save_file(named, tmp_path / "x.safetensors")
        ours = adapted(base, (an_extra(tmp_path / "x.safetensors"), 1.0))
        for layer in LAYERS:
            x = an_input(base, layer)
            assert distance(ours.get_submodule(layer)(x), merged.get_submodule(layer)(x)) < CLOSE, (prefix, layer)


@pytest.mark.parametrize("is_dora", [False, True])
def test_a_rank_stabilised_lora_is_scaled_as_peft_does(base: nn.Module, tmp_path: Path, is_dora: bool) -> None:
    """As diffusers saves it: PEFT's settings in the header. One layer has an alpha, and another a rank, of its own."""
    torch.manual_seed(0)
    config = LoraConfig(
        r=3,
        lora_alpha=5,
        target_modules=list(LAYERS),
        init_lora_weights=False,
        use_rslora=True,
        use_dora=is_dora,
        alpha_pattern={LAYERS[0]: 2},
        rank_pattern={LAYERS[1]: 2},
    )
    theirs = get_peft_model(deepcopy(base), config)
    saved, merged = get_peft_model_state_dict(theirs), theirs.merge_and_unload()
    settings = json.dumps({f"unet.{name}": value for name, value in config.to_dict().items()}, default=list)
    named = {name.replace("base_model.model.", "unet."): tensor.clone() for name, tensor in saved.items()}
    save_file(named, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": settings})
    ours = adapted(base, (an_extra(tmp_path / "x.safetensors"), 1.0))
    for layer in LAYERS:
        x = an_input(base, layer)
        assert distance(ours.get_submodule(layer)(x), merged.get_submodule(layer)(x)) < CLOSE, layer


IN_LDM = {
    "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": "input_blocks_1_1_transformer_blocks_0_attn1_to_q",
    "down_blocks_0_attentions_0_transformer_blocks_0_ff_net_2": "input_blocks_1_1_transformer_blocks_0_ff_net_2",
    "down_blocks_0_resnets_0_conv1": "input_blocks_1_0_in_layers_2",
    "down_blocks_0_downsamplers_0_conv": "input_blocks_2_0_op",
    "down_blocks_0_attentions_0_proj_in": "input_blocks_1_1_proj_in",
}
RENAMED: dict[str, Callable[[str], str]] = {
    "kohya": lambda layer: f"lora_unet_{layer}",
    "LyCORIS": lambda layer: f"lycoris_{layer}",
    "LyCORIS, with the part": lambda layer: f"lycoris_unet_{layer}",
    "Stability, in kohya": lambda layer: f"lora_unet_{IN_LDM[layer]}",
}


@pytest.mark.parametrize("tool", RENAMED)
def test_every_tools_names_are_the_same_layers(base: nn.Module, tmp_path: Path, tool: str) -> None:
    lora = save_lycoris(tmp_path / "x.safetensors", make_lycoris("LoKr", base), RENAMED[tool])
    assert set(read_lora(lora, {"unet": base})["unet"]) == set(LAYERS)


def test_a_loha_is_kept_small(base: nn.Module, tmp_path: Path) -> None:
    """As a LoRA of the square of its rank where that is less than the layer, else as its four factors."""
    for kind, layer, is_expanded in (
        ("LoHa of low rank", WIDER, True),
        ("LoHa of high rank", WIDER, False),
        ("LoHa of high rank", FLAT_CONVOLUTION, False),
    ):
        lora = save_lycoris(tmp_path / "x.safetensors", make_lycoris(kind, base))
        change = read_lora(lora, {"unet": base})["unet"][layer].change
        assert isinstance(change, Hadamard)
        down, _ = change.build(base.get_submodule(layer))
        assert isinstance(down, _HadamardMap) is not is_expanded
        assert torch.allclose(change.expand().compute(), change.compute(), atol=1e-5)
        assert isinstance(change.expand(), LowRank)


def test_numbers_that_grow_beyond_all_bounds_are_refused(base: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_lycoris(path, make_lycoris("LoCon", base))
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("up.weight"))
    save_file(
        {
            **tensors,
            name: torch.full_like(tensors[name], 3e38),
            name.replace("lora_up.weight", "alpha"): torch.tensor(9.0),
        },
        path,
    )
    with pytest.raises(InvalidRequestError, match="not finite once they are multiplied"):
        read_lora(an_extra(path), {"unet": base})
