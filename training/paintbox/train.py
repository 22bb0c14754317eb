"""`python -m training.paintbox.train LESSON`: draws the data and trains the built-in networks, one or all.

Each lesson keeps its checkpoint under --runs and takes it up when it is run again, so a stopped lesson goes on where
it was. `assemble` writes the model folder from the checkpoints there are.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer

from generation.paintbox import MODEL_DIR
from generation.paintbox.vocabulary import WORDS_FILE
from training.paintbox import captions, layout, tokens
from training.paintbox.lessons import lora as lora_lesson
from training.paintbox.lessons import safety as safety_lesson
from training.paintbox.lessons import sharpen as sharpen_lesson
from training.paintbox.lessons import unet as unet_lesson
from training.paintbox.lessons import upscaler as upscaler_lesson
from training.paintbox.lessons import vae as vae_lesson
from training.paintbox.lessons.loop import Plan, restore
from training.paintbox.lessons.pictures import pool


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    runs: Path
    out: Path
    seed: int
    device: str
    native_px: int
    steps: int | None

    def plan(self, name: str, steps: int, learning_rate: float, **more: Any) -> Plan:
        """Return the plan of one lesson, with the number of steps overridden where asked."""
        return Plan(name, self.steps or steps, learning_rate, self.runs, seed=self.seed, device=self.device, **more)


def teach_vae(options: Options) -> None:
    """Teach lesson one."""
    plan = options.plan("vae", 3400, 1e-3)
    vae_lesson.teach(plan, vae_lesson.VaeData(side_px=options.native_px))


def _encoded_vae(options: Options) -> Any:
    """Return the autoencoder of lesson one, its latents standardised and their scale measured on 256 drawings."""
    vae = vae_lesson.build()
    restore(options.plan("vae", 0, 0), vae)
    vae = vae.to(options.device, memory_format=torch.channels_last).eval()
    drawings = pool(256, options.seed + 1, options.native_px)
    vae_lesson.standardise(vae, drawings)
    scale = vae_lesson.latent_scale(vae, drawings)
    vae.register_to_config(scaling_factor=round(scale, 5), sample_size=options.native_px)
    return vae


def _sharpen_plan(options: Options) -> Plan:
    return options.plan("sharpen", 8000, 8e-4, ema_decay=0.998, muon=True)


def trained_vae(options: Options) -> Any:
    """Return the autoencoder, sharpened if that lesson has begun."""
    vae = _encoded_vae(options)
    if _sharpen_plan(options).checkpoint.exists():
        errors = torch.empty(sharpen_lesson.SharpenData().pool_size, device=options.device)
        restore(_sharpen_plan(options), sharpen_lesson.Sharpened(vae, errors))
    return vae


def teach_sharpen(options: Options) -> None:
    """Teach the autoencoder its second lesson; needs lesson one."""
    data = sharpen_lesson.SharpenData(side_px=options.native_px)
    sharpen_lesson.teach(_sharpen_plan(options), data, vae=_encoded_vae(options))


def _unet_plan(options: Options) -> Plan:
    return options.plan("unet", 20000, 1.5e-3, ema_decay=0.998, muon=True)


def teach_unet(options: Options) -> None:
    """Teach lesson two; needs lesson one."""
    folder = options.runs / "tokenizer"
    tokens.write_tokenizer(folder, captions.words())
    data = unet_lesson.UnetData(side_px=options.native_px)
    unet_lesson.teach(_unet_plan(options), data, vae=trained_vae(options), tokenizer_folder=folder)


def trained_painter(options: Options) -> unet_lesson.Painter:
    """Return the averaged text encoder and UNet of lesson two, as far as they have got."""
    size = len(tokens.vocabulary(tokens.learn_merges(captions.words())))
    painter = unet_lesson.Painter(
        unet_lesson.build_text_encoder(size), unet_lesson.build_unet(sample_size=options.native_px // 8)
    )
    restore(_unet_plan(options), painter)
    return painter.to(options.device).eval()


def assemble(options: Options) -> None:
    """Write the Stable Diffusion folder from the newest checkpoints."""
    painter = trained_painter(options)
    layout.write_model(
        options.out / "model", text_encoder=painter.text_encoder, unet=painter.unet, vae=trained_vae(options)
    )
    captions.write_words(options.out / WORDS_FILE.name)


def teach_safety(options: Options) -> None:
    """Teach the checker; needs lesson one, because it must know how the decoder draws."""
    plan = options.plan("safety", 4000, 1e-3, ema_decay=0.995, muon=True)
    data = safety_lesson.SafetyData(side_px=options.native_px)
    safety_lesson.write(options.out / "safety_checker", safety_lesson.teach(plan, data, vae=trained_vae(options)))


def teach_upscaler(options: Options) -> None:
    """Teach the upscaler; needs no other lesson."""
    plan = options.plan("upscaler", 8000, 2e-3, ema_decay=0.995, muon=True)
    data = upscaler_lesson.UpscalerData(side_px=2 * options.native_px)
    upscaler_lesson.write(options.out / "upscaler", upscaler_lesson.teach(plan, data))


def teach_lora(options: Options) -> None:
    """Teach the example LoRA; needs lessons one and two."""
    tokenizer = CLIPTokenizer.from_pretrained(options.runs / "tokenizer")
    unet = lora_lesson.teach(
        options.plan("lora", 400, 2e-3),
        lora_lesson.LoraData(side_px=options.native_px),
        painter=trained_painter(options),
        vae=trained_vae(options),
        tokenizer=tokenizer,
    )
    lora_lesson.write(options.out / "lora", unet)


LESSONS: dict[str, Callable[[Options], None]] = {
    "vae": teach_vae,
    "sharpen": teach_sharpen,
    "unet": teach_unet,
    "assemble": assemble,
    "safety": teach_safety,
    "upscaler": teach_upscaler,
    "lora": teach_lora,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.paintbox.train", description=__doc__)
    parser.add_argument("lesson", choices=(*LESSONS, "all"))
    parser.add_argument("--runs", type=Path, default=Path("runs/paintbox"), help="checkpoints and curves")
    parser.add_argument("--out", type=Path, default=MODEL_DIR.parent, help="where the weights are written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--native", type=int, default=128, choices=(128, 256), help="side of the pictures")
    parser.add_argument("--steps", type=int, help="stop after so many steps instead of the lesson's own number")
    args = parser.parse_args()
    options = Options(args.runs, args.out, args.seed, args.device, args.native, args.steps)
    for name in LESSONS if args.lesson == "all" else (args.lesson,):
        LESSONS[name](options)


if __name__ == "__main__":
    main()
