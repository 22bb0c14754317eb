"""The networks of the ESRGAN family: RRDBNet (ESRGAN, BSRGAN, Real-ESRGAN) and the compact SRVGGNet.

Sources: Wang et al. 2018 and 2021; the reference is BasicSR. Every convolution is 3 x 3 and keeps the size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generation.models.upscaler_layout import Network, UpscalerLayout

_RESIDUE = 0.2
_SLOPE = 0.2
_NUM_COLOURS = 3


def build_network(layout: UpscalerLayout) -> nn.Module:
    """Return the network of that layout, without weights: it takes and gives (rows, 3, height, width), 0 to 1."""
    with torch.device("meta"):
        return _RRDBNet(layout) if layout.network is Network.RRDB else _Compact(layout)


class _RRDBNet(nn.Module):
    def __init__(self, layout: UpscalerLayout) -> None:
        super().__init__()
        width = layout.num_features
        self._unshuffle, self._num_ups = layout.unshuffle, layout.num_ups
        self.conv_first = _convolve(_NUM_COLOURS * layout.unshuffle**2, width)
        self.body = nn.Sequential(*(_ResidualBlock(width, layout.num_growth) for _ in range(layout.num_blocks)))
        self.conv_body = _convolve(width, width)
        for number in range(layout.num_ups):
            self.add_module(f"conv_up{number + 1}", _convolve(width, width))
        self.conv_hr = _convolve(width, width)
        self.conv_last = _convolve(width, _NUM_COLOURS)

    def forward(self, pixels: Tensor) -> Tensor:
        small = pixels if self._unshuffle == 1 else functional.pixel_unshuffle(pixels, self._unshuffle)
        features: Any = self.conv_first(small)
        features = features + self.conv_body(self.body(features))
        for number in range(self._num_ups):
            doubled = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = _bend(self.get_submodule(f"conv_up{number + 1}")(doubled))
        result: Tensor = self.conv_last(_bend(self.conv_hr(features)))
        return result


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_DenseBlock(width, growth) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.rdb3(self.rdb2(self.rdb1(features)))
        return result * _RESIDUE + features


class _DenseBlock(nn.Module):
    """Five convolutions; each of the first four reads all that is there, and adds its own."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            _convolve(width + number * growth, growth) for number in range(4)
        )
        self.conv5 = _convolve(width + 4 * growth, width)

    def forward(self, features: Tensor) -> Tensor:
        known = features
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat((known, _bend(convolution(known))), 1)
        result: Tensor = self.conv5(known)
        return result * _RESIDUE + features


class _Compact(nn.Module):
    """Convolutions at the picture's own size, whose last channels are put beside each other as pixels."""

    def __init__(self, layout: UpscalerLayout) -> None:
        super().__init__()
        width = layout.num_features
        self._scale = layout.scale
        layers: list[nn.Module] = [_convolve(_NUM_COLOURS, width), nn.PReLU(width)]
        for _ in range(layout.num_blocks):
            layers += [_convolve(width, width), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, _convolve(width, _NUM_COLOURS * layout.scale**2))

    def forward(self, pixels: Tensor) -> Tensor:
        detail = functional.pixel_shuffle(self.body(pixels), self._scale)
        return detail + functional.interpolate(pixels, scale_factor=self._scale, mode="nearest")


def _convolve(takes: int, gives: int) -> nn.Conv2d:
    return nn.Conv2d(takes, gives, 3, padding=1)


def _bend(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, _SLOPE)
