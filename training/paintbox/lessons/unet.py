"""The second lesson: a UNet and a small text encoder learn together which latents belong to which words.

The autoencoder is done by then, so every drawing is encoded once, before the first step, and never again.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from rich.progress import track
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.paintbox.captions import describe, plainly
from training.paintbox.draw import draw
from training.paintbox.layout import SCHEDULER
from training.paintbox.lessons.loop import Chance, Plan, train
from training.paintbox.lessons.pictures import scenes, to_tensor
from training.paintbox.tokens import CONTEXT_TOKENS
from training.paintbox.world import Scene, simple

_TEXT_WIDTH: Final = 128

HOW_OFTEN: Final[Mapping[str, float]] = {
    **dict.fromkeys(("bird", "boat", "sun"), 3.0),
    "spider": 2.0,
    **dict.fromkeys(("flower", "tree", "mushroom"), 1.5),
    **dict.fromkeys(("house", "car", "fish"), 1.3),
}
"""How often a thing is shown beside the others (1): those of thin or several parts, which else come out worst."""

_Rows = npt.NDArray[np.int64]
_Odds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnetData:
    """The training data: `batch` encoded drawings a step, some without their caption.

    The pool holds `simple_size` scenes with one thing in the middle and `world_size` of everything. A step's share of
    simple ones is `simple_first` until `simple_until` of the steps are done and falls to `simple_last` by the end:
    colours and shapes are learnt where nothing else is to be learnt, and many times sooner. The rest of a step is
    `singles`, `severals` and `pairs` of the whole world, in these parts: counting is learnt last, so it is shown most.
    """

    simple_size: int = 4000
    world_size: int = 10000
    batch: int = 32
    side_px: int = 128
    empty_share: float = 0.1
    plain_share: float = 0.3
    simple_first: float = 0.95
    simple_last: float = 0.2
    simple_until: float = 0.5
    singles: float = 0.3
    severals: float = 0.45
    pairs: float = 0.25

    def simple_share(self, done: float) -> float:
        """Return the share of simple scenes when `done` of the steps (0 to 1) are done."""
        way = max(0.0, done - self.simple_until) / (1 - self.simple_until)
        return self.simple_first + (self.simple_last - self.simple_first) * way


class Painter(torch.nn.Module):
    """The two networks that train together."""

    def __init__(self, text_encoder: Any, unet: Any) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet


def build_text_encoder(vocab_size: int) -> Any:
    """Return an untrained CLIP text model: two layers, 128 wide, 77 tokens."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocab_size,
            hidden_size=_TEXT_WIDTH,
            intermediate_size=4 * _TEXT_WIDTH,
            projection_dim=_TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT_TOKENS,
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
        )
    )


def build_unet(widths: tuple[int, ...] = (48, 96, 160), *, sample_size: int = 16) -> Any:
    """Return an untrained UNet of Stable Diffusion 1's blocks, narrow and three levels deep.

    Words are read at 8x8 and 4x4 latents only: attention at 16x16 cost a third of each step.
    """
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=4,
        out_channels=4,
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=_TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    _silence_branches(unet)
    return unet


@torch.no_grad()
def _silence_branches(unet: Any) -> None:
    """Begin with every residual branch at zero (Dhariwal and Nichol 2021): the first steps are not spent on noise."""
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            module.conv2.weight.zero_()
        elif isinstance(module, Transformer2DModel):
            module.proj_out.weight.zero_()
    unet.conv_out.weight.zero_()


@torch.no_grad()
def encode_pool(vae: Any, drawn: list[Scene], side_px: int, device: str) -> torch.Tensor:
    """Return latents (scenes, 4, side/8, side/8), scaled to unit deviation."""
    parts = []
    for start in track(range(0, len(drawn), 32), description="encode"):
        pixels = to_tensor(draw(scene, side_px) for scene in drawn[start : start + 32])
        parts.append(vae.encode(pixels.to(device)).latent_dist.mean.float().cpu() * vae.config.scaling_factor)
    return torch.cat(parts)


def teach(plan: Plan, data: UnetData, *, vae: Any, tokenizer_folder: Path) -> tuple[Any, Any]:
    """Return (text_encoder, unet), trained, in float32. `vae` has its scaling factor set."""
    torch.manual_seed(plan.seed)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    unet = build_unet(sample_size=data.side_px // 8).to(memory_format=torch.channels_last)
    painter = Painter(build_text_encoder(len(tokenizer)), unet).to(plan.device).train()
    drawn = scenes(data.simple_size, plan.seed, kind=simple) + scenes(data.world_size, plan.seed)
    latents = _cached_latents(plan, data, vae, drawn)
    noise_schedule = DDPMScheduler.from_config(SCHEDULER)
    kinds = _rows_by_kind(drawn, data)
    often = weigh(drawn)

    def loss_of(chance: Chance) -> torch.Tensor:
        shares = _shares(data, data.simple_share(chance.step / plan.steps))
        rows = _choose(kinds, shares, often, data.batch, chance.numpy)
        rng = random.Random(int(chance.numpy.integers(2**63)))
        said = [_say(drawn[row], data, rng) for row in rows]
        return velocity_loss(painter, noise_schedule, tokenizer, latents[rows], said, chance)

    train(plan, painter, loss_of)
    return painter.text_encoder.eval(), painter.unet.eval()


def weigh(drawn: Sequence[Scene]) -> _Odds:
    """Return how often each scene is to be shown, by its first thing."""
    return np.array([HOW_OFTEN.get(scene.placed[0].thing, 1.0) for scene in drawn])


def _rows_by_kind(drawn: Sequence[Scene], data: UnetData) -> tuple[_Rows, ...]:
    """Return rows of the pool: first the simple scenes, then those of one thing, several of one thing, a pair."""
    world = range(data.simple_size, len(drawn))
    pairs = [row for row in world if drawn[row].relation]
    singles = [row for row in world if len(drawn[row].placed) == 1]
    severals = sorted({*world} - {*pairs} - {*singles})
    return tuple(np.array(rows, np.int64) for rows in (range(data.simple_size), singles, severals, pairs))


def _shares(data: UnetData, simple_share: float) -> _Odds:
    """Return how much of a step each kind gets, in the order of `_rows_by_kind`; in all 1."""
    world = np.array([data.singles, data.severals, data.pairs])
    return np.concatenate([[simple_share], (1 - simple_share) * world / world.sum()])


def _choose(kinds: Sequence[_Rows], shares: _Odds, often: _Odds, count: int, rng: np.random.Generator) -> _Rows:
    """Return `count` rows for one step; within its kind, row n comes in proportion to `often[n]`.

    A kind the pool has none of gets nothing.
    """
    there = np.array([len(rows) > 0 for rows in kinds])
    picked = rng.choice(len(kinds), size=count, p=shares * there / (shares * there).sum())
    return np.array([rng.choice(kinds[kind], p=_odds(often[kinds[kind]])) for kind in picked], np.int64)


def _odds(weights: _Odds) -> _Odds:
    odds: _Odds = weights / weights.sum()
    return odds


def _say(scene: Scene, data: UnetData, rng: random.Random) -> str:
    """Return a caption: sometimes none, sometimes the plainest, mostly one of many ways to say it."""
    if rng.random() < data.empty_share:
        return ""
    return plainly(scene) if rng.random() < data.plain_share else describe(scene, rng)


def velocity_loss(
    painter: Painter,
    noise_schedule: Any,
    tokenizer: Any,
    latents: torch.Tensor,
    said: list[str],
    chance: Chance,
) -> torch.Tensor:
    """Return the squared error of the velocity (Salimans and Ho 2022), each row at a time of its own."""
    device = painter.unet.device
    noise = torch.randn(latents.shape, generator=chance.torch)
    times = spread_times(len(said), noise_schedule.config.num_train_timesteps, chance)
    noisy = noise_schedule.add_noise(latents, noise, times).to(device)
    wanted = noise_schedule.get_velocity(latents, noise, times).to(device)
    ids = tokenizer(said, padding="max_length", max_length=CONTEXT_TOKENS, truncation=True, return_tensors="pt")
    words = painter.text_encoder(ids.input_ids.to(device)).last_hidden_state
    got = painter.unet(noisy, times.to(device), words).sample
    return torch.nn.functional.mse_loss(got.float(), wanted)


_SHARE_OF_STEPS: Final = (0.0, 0.2, 0.92, 1.0)
_SHARE_OF_TIME: Final = (0.0, 0.4, 0.9, 1.0)


def spread_times(count: int, limit: int, chance: Chance) -> torch.Tensor:
    """Return `count` times below `limit`, evenly spread from a random start: the loss is calmer so.

    Seven in ten fall between 0.4 and 0.9 of the range, where colour and shape of a thing are settled.
    """
    start = float(torch.rand((), generator=chance.torch))
    even = (start + np.arange(count) / count) % 1
    times = np.interp(even, _SHARE_OF_STEPS, _SHARE_OF_TIME) * limit
    return torch.from_numpy(times).long().clamp(max=limit - 1)


def _cached_latents(plan: Plan, data: UnetData, vae: Any, drawn: list[Scene]) -> torch.Tensor:
    """Return the encoded pool; kept beside the checkpoints, so that a resumed run starts at once."""
    path = plan.runs / f"latents-{data.side_px}-{data.simple_size}-{data.world_size}-{plan.seed}.pt"
    if path.exists():
        return torch.as_tensor(torch.load(path, weights_only=True))
    with plan.autocast():
        latents = encode_pool(vae, drawn, data.side_px, plan.device)
    plan.runs.mkdir(parents=True, exist_ok=True)
    torch.save(latents, path)
    return latents
