"""A table of published LoRA headers, of every kind and tool: what `models add` accepts and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generation.errors import ConfigurationError
from generation.models.registry import Kind
from tests.generation.models.test_inspect import Shapes, add, write

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
IN_KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
OF_XL = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def kohya(layer: str = OF_XL, width: int = 2048) -> Shapes:
    return {f"{layer}.lora_down.weight": (2, width), f"{layer}.lora_up.weight": (640, 2), f"{layer}.alpha": ()}


def pair(
    layer: str, down: str = "lora_A.weight", up: str = "lora_B.weight", width: int = 768, gives: int = 640
) -> Shapes:
    return {f"{layer}{down}": (2, width), f"{layer}{up}": (gives, 2)}


def parts(layer: str = OF_XL, **shapes: tuple[int, ...]) -> Shapes:
    return {f"{layer}.{part}": shape for part, shape in shapes.items()}


CONVOLUTION = "lora_unet_input_blocks_1_0_in_layers_2"
LOHA = parts(hada_w1_a=(640, 2), hada_w1_b=(2, 2048), hada_w2_a=(640, 2), hada_w2_b=(2, 2048), alpha=())
LOKR = parts(lokr_w1=(4, 8), lokr_w2=(160, 256), alpha=())
LOKR_OF_TWO = parts(lokr_w1=(4, 8), lokr_w2_a=(160, 4), lokr_w2_b=(4, 256), alpha=())
TUCKER: Shapes = {
    f"{CONVOLUTION}.lora_down.weight": (2, 320, 1, 1),
    f"{CONVOLUTION}.lora_mid.weight": (2, 2, 3, 3),
    f"{CONVOLUTION}.lora_up.weight": (320, 2, 1, 1),
}


def without(shapes: Shapes, name: str) -> Shapes:
    return {each: shape for each, shape in shapes.items() if name not in each}


def renamed(shapes: Shapes, old: str, new: str) -> Shapes:
    return {name.replace(old, new): shape for name, shape in shapes.items()}


TAKEN: dict[str, tuple[Shapes, int]] = {
    "kohya, XL": (kohya(), 2048),
    "kohya, both text encoders": (
        kohya()
        | pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", ".lora_down.weight", ".lora_up.weight", gives=3072)
        | pair("lora_te2_text_model_encoder_layers_0_mlp_fc1", ".lora_down.weight", ".lora_up.weight", 1280, 5120),
        2048,
    ),
    "kohya, a convolution": (
        {
            "lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight": (2, 320, 3, 3),
            "lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight": (320, 2, 1, 1),
        },
        0,
    ),
    "diffusers with PEFT": (pair(f"unet.{ATTENTION}.to_k."), 768),
    "PEFT alone": (pair(f"base_model.model.{ATTENTION}.to_k."), 768),
    "PEFT with the adapter's name": (
        pair(f"base_model.model.unet.{ATTENTION}.to_k.", "lora_A.default.weight", "lora_B.default.weight"),
        768,
    ),
    "diffusers before 0.22": (
        pair(f"unet.{ATTENTION}.processor.to_k_lora.", "down.weight", "up.weight", 1024),
        1024,
    ),
    "diffusers before 0.17": (
        pair(f"{ATTENTION}.processor.to_k_lora.", "down.weight", "up.weight"),
        768,
    ),
    "diffusers before 0.22, text": (
        pair("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.", "down.weight", "up.weight", gives=768),
        0,
    ),
    "diffusers 0.22": (pair(f"unet.{ATTENTION}.to_v.", "lora.down.weight", "lora.up.weight"), 768),
    "diffusers 0.22, text": (
        pair(
            "text_encoder.text_model.encoder.layers.0.mlp.fc1.",
            "lora_linear_layer.down.weight",
            "lora_linear_layer.up.weight",
            gives=3072,
        ),
        0,
    ),
    "with points between LDM's names": (
        pair("diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.", width=2048),
        2048,
    ),
    "LoHa": (LOHA, 2048),
    "LoHa of a convolution, Tucker": (
        parts(
            CONVOLUTION,
            hada_w1_a=(2, 320),
            hada_w1_b=(2, 320),
            hada_t1=(2, 2, 3, 3),
            hada_w2_a=(2, 320),
            hada_w2_b=(2, 320),
            hada_t2=(2, 2, 3, 3),
        ),
        0,
    ),
    "LoKr": (LOKR, 2048),
    "LoKr of two matrices": (LOKR_OF_TWO, 2048),
    "LoKr of a convolution, flat": (
        parts(CONVOLUTION, lokr_w1=(16, 16), lokr_w2_a=(20, 3), lokr_w2_b=(3, 180)),
        0,
    ),
    "LoKr as PEFT saves it": (renamed(LOKR, OF_XL, f"base_model.model.{ATTENTION}.to_k"), 2048),
    "LoCon, Tucker": (TUCKER, 0),
    "DoRA": (kohya() | parts(dora_scale=(640, 1)), 2048),
    "DoRA of columns": (kohya() | parts(dora_scale=(1, 2048)), 2048),
    "DoRA of a LoHa": (LOHA | parts(dora_scale=(640, 1)), 2048),
    "DoRA as PEFT saves it": (
        pair(f"base_model.model.unet.{ATTENTION}.to_k.")
        | {f"base_model.model.unet.{ATTENTION}.to_k.lora_magnitude_vector": (640,)},
        768,
    ),
    "LyCORIS's own names": (renamed(LOHA, OF_XL, f"lycoris_{IN_KOHYA.removeprefix('lora_unet_')}"), 2048),
    "LyCORIS's own names, text": (
        kohya("lycoris_text_model_encoder_layers_0_self_attn_q_proj", 768)
        | parts("lycoris_text_model_encoder_layers_0_self_attn_q_proj", **{"lora_up.weight": (768, 2)}),
        0,
    ),
    "a text encoder alone, as transformers names it": (
        pair("base_model.model.encoder.layers.0.self_attn.q_proj.", gives=768),
        0,
    ),
    "OneTrainer's, with words beside it": (kohya() | {"bundle_emb.tok.string_to_param.*": (2, 768)}, 2048),
}

FOREIGN = "another kind of model than those that are run here"
REFUSED: dict[str, tuple[Shapes, str]] = {
    "half a LoHa": (without(LOHA, "w2_b"), "lacks hada_w2_b"),
    "a LoHa of two ranks": (LOHA | parts(hada_w2_a=(640, 3), hada_w2_b=(3, 2048)), "do not fit each other"),
    "a LoHa of two sizes": (LOHA | parts(hada_w2_a=(600, 2)), "do not fit each other"),
    "one core of two": (LOHA | parts(hada_t1=(2, 2, 3, 3)), "lacks one of the two cores"),
    "half a LoKr": (without(LOKR_OF_TWO, "w2_a"), "lacks lokr_w2_a"),
    "a LoKr of factors for no layer": (LOKR | parts(lokr_w1=(4, 5)), "reads prompts of 1280 numbers"),
    "a LoKr of matrices that do not fit": (LOKR_OF_TWO | parts(lokr_w2_a=(160, 5)), "do not fit each other"),
    "a LoKr whose product is no such layer": (
        LOKR | parts(lokr_w2=(100, 256)),
        "is 2048 to 400, here it is 2048 to 640",
    ),
    "a LoKr that is whole and in parts": (LOKR | LOKR_OF_TWO, "holds lokr_w2 twice"),
    "a LoKr of another kernel": (
        parts(CONVOLUTION, lokr_w1=(16, 16), lokr_w2=(20, 36, 1, 5)),
        "do not fit the layer",
    ),
    "LoHa and LoKr at once": (LOHA | LOKR, "mixes LoHa and LoKr"),
    "Tucker without its core's sides": (TUCKER | {f"{CONVOLUTION}.lora_mid.weight": (2, 3, 3, 3)}, "do not fit"),
    "a DoRA of other lengths": (kohya() | parts(dora_scale=(600, 1)), "lengths that do not fit"),
    "a DoRA of one length": (kohya() | parts(dora_scale=(1, 1)), "do not fit the layer"),
    "lengths alone": (parts(dora_scale=(640, 1)), "lacks the matrices"),
    "a rank beyond sense": (
        {f"{OF_XL}.lora_down.weight": (3000, 2048), f"{OF_XL}.lora_up.weight": (640, 3000)},
        "a rank of 3000, which can be 2048 at most",
    ),
    "a product beyond sense": (
        parts(lokr_w1_a=(60000, 1), lokr_w1_b=(1, 60000), lokr_w2_a=(60000, 1), lokr_w2_b=(1, 60000)),
        "adds up to 3600000000 numbers to 3600000000",
    ),
    "OFT": (parts(oft_blocks=(4, 8, 8), alpha=()), "no other kind"),
    "GLoRA": ({f"{OF_XL}.a1.weight": (2, 2), f"{OF_XL}.b1.weight": (2, 2)}, "no other kind"),
    "whole weights": (kohya() | {f"{IN_KOHYA}.diff": (2, 2)}, "no other kind"),
    "parts for two kinds of models": (
        kohya() | kohya(IN_KOHYA.replace("blocks_1", "blocks_2"), 768),
        "reads prompts of 768 and of 2048",
    ),
    "another layer than the model has": (kohya(OF_XL.replace("4_1", "4_7")), "one that has a layer"),
    "layers of another size": (
        {f"{OF_XL}.lora_down.weight": (2, 2048), f"{OF_XL}.lora_up.weight": (320, 2)},
        "With Stable Diffusion XL: “x” cannot be used",
    ),
    "AnimateDiff": (pair("down_blocks.0.motion_modules.0.attn.to_q."), "was made for AnimateDiff"),
    "a bias": (pair(f"unet.{ATTENTION}.to_k.") | {f"unet.{ATTENTION}.to_k.lora_B.bias": (640,)}, "no other kind"),
    "FLUX.2 dev": (pair("transformer.transformer_blocks.0.attn.add_q_proj.", width=6144, gives=6144), FOREIGN),
    "Lumina": (pair("diffusion_model.layers.0.attention.qkv.", width=2304, gives=6912), FOREIGN),
    "Z-Image of another size": (
        pair("diffusion_model.layers.0.attention.to_q.", width=3840),
        "changes layers_0_attention_to_q (3840 to 640): it was made for another kind of model",
    ),
    "the text encoder of Z-Image": (
        pair("transformer.layers.0.attention.to_q.") | pair("text_encoder.model.layers.0.self_attn.q_proj."),
        "of text encoders, LoRA change the CLIP of FLUX.1 and Stable Diffusion 3.5, and no other",
    ),
    "Wan": (pair("diffusion_model.blocks.0.cross_attn.k."), FOREIGN),
    "a third text encoder": (kohya() | kohya("lora_te3_encoder_block_0_layer_0_SelfAttention_q", 4096), FOREIGN),
    "half a LoRA": ({f"{OF_XL}.lora_down.weight": (2, 2048)}, "lacks one of the two matrices"),
    "a misfit": (
        {f"{OF_XL}.lora_down.weight": (2, 2048), f"{OF_XL}.lora_up.weight": (640, 3)},
        "do not fit each other",
    ),
    "many scales": (kohya() | {f"{OF_XL}.alpha": (2,)}, "more than one number"),
    "two tools": (kohya() | pair(f"unet.{ATTENTION}.to_k."), "mixes the names of two tools"),
    "one layer by two names": (
        pair(f"unet.{ATTENTION}.to_k.") | pair(f"base_model.model.{ATTENTION}.to_k."),
        "twice",
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_usable_lora_are_accepted(tmp_path: Path, name: str) -> None:
    shapes, width = TAKEN[name]
    entry, _ = add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert (entry.kind, entry.context_width) == (Kind.LORA, width)


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_lora_are_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    shapes, says = REFUSED[name]
    with pytest.raises(ConfigurationError) as refused:
        add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert says in str(refused.value) and str(refused.value).endswith(".") and "\n" not in str(refused.value)
    assert not (tmp_path / "models").exists()


OTHER_FAMILIES = {"FLUX.2 dev": "FLUX.2 dev", "Lumina": "Lumina 2", "Wan": "Wan"}


@pytest.mark.parametrize("name", OTHER_FAMILIES)
def test_a_lora_of_another_family_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    shapes, _ = REFUSED[name]
    with pytest.raises(ConfigurationError, match=rf"was made for [^.]*{OTHER_FAMILIES[name]}"):
        add(tmp_path, write(tmp_path / "x.safetensors", shapes))


@pytest.mark.parametrize(
    "settings", ['{"unet.use_dora": true}', '{"unet.use_rslora": true}', "[]", "{", '{"unet.lora_alpha": NaN}']
)
def test_the_metadata_of_a_lora_is_read_before_it_is_added(tmp_path: Path, settings: str) -> None:
    metadata = {"lora_adapter_metadata": settings}
    with pytest.raises(ConfigurationError, match=r"a DoRA's magnitudes|does not say lora_alpha|cannot be read"):
        add(tmp_path, write(tmp_path / "x.safetensors", pair(f"unet.{ATTENTION}.to_k."), metadata))


def test_unused_parts_of_a_lora_are_named(tmp_path: Path) -> None:
    _, said = add(tmp_path, write(tmp_path / "x.safetensors", kohya() | {"bundle_emb.tok.string_to_param.*": (2, 768)}))
    assert "The textual inversion in it is not used" in said


def test_the_scale_that_peft_keeps_beside_its_file_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "adapter_model.safetensors", pair(f"base_model.model.{ATTENTION}.to_k."))
    beside = tmp_path / "adapter_config.json"
    beside.write_text(json.dumps({"r": 8, "lora_alpha": 4}))
    _, said = add(tmp_path, file, name="ink")
    assert "trained at 0.5 times" in said
    beside.write_text(json.dumps({"r": 16, "lora_alpha": 4, "use_rslora": True}))
    _, said = add(tmp_path, file, name="steady")
    assert "trained at 1 times" not in said and "trained at" not in said, "4 over the root of 16"
    beside.write_text(json.dumps({"r": 16, "lora_alpha": 16, "use_rslora": True}))
    _, said = add(tmp_path, file, name="strong")
    assert "trained at 4 times" in said and "Prompts take at most 2" in said
    beside.write_text(json.dumps({"r": 8, "use_rslora": True}))
    with pytest.raises(ConfigurationError, match="sets use_rslora, and does not say lora_alpha"):
        add(tmp_path, file, name="other")
