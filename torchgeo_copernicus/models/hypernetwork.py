"""Patch embedding whose kernels are generated from what each channel measures.

One set of weights serves any number and order of channels. Method: DOFA (arXiv:2403.15356), extended by
Copernicus-FM (arXiv:2503.11849, section 4.1) from wavelengths to named variables.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_copernicus.models.fourier import fourier_expansion
from torchgeo_copernicus.models.kernel_resize import BASE_KERNEL_SIZE, resize_kernel

#: Width of a channel's description inside the hypernetwork.
CHANNEL_DIM = 128
#: Length of a language vector (Llama 3.2 1B).
LANGUAGE_DIM = 2048
_WEIGHT_TOKENS = 128
# Keeps the generated kernels small beside the position table.
_SCALE = 0.01


class ResidualMLP(nn.Module):
    """`x + relu(w2(relu(w1(x))))` on channel descriptions."""

    def __init__(self, dim: int) -> None:
        """Build both layers of width *dim*."""
        super().__init__()
        self.w1 = nn.Linear(dim, dim)
        self.w2 = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[C, dim]` to `[C, dim]`."""
        return x + F.relu(self.w2(F.relu(self.w1(x))))


class KernelGenerator(nn.Module):
    """Generates one 16 x 16 kernel per channel and one bias, from channel descriptions."""

    def __init__(self, embed_dim: int) -> None:
        """Build the generator for *embed_dim* output features."""
        super().__init__()
        self.weight_tokens = nn.Parameter(torch.empty(_WEIGHT_TOKENS, CHANNEL_DIM))
        self.bias_token = nn.Parameter(torch.empty(1, CHANNEL_DIM))
        layer = nn.TransformerEncoderLayer(
            CHANNEL_DIM, nhead=4, dim_feedforward=2048, dropout=0.0, activation='gelu'
        )
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight = nn.Linear(CHANNEL_DIM, BASE_KERNEL_SIZE**2 * embed_dim)
        self.fc_bias = nn.Linear(CHANNEL_DIM, embed_dim)
        nn.init.normal_(self.weight_tokens, std=0.02)
        nn.init.normal_(self.bias_token, std=0.02)

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Map descriptions `[C, 128]` to kernels `[D, C, 16, 16]` and a bias `[D]`, both unscaled.

        A channel's kernel depends on the other channels too: they attend to each other.
        """
        sequence = torch.cat((self.weight_tokens, channels, self.bias_token))
        out = self.transformer_encoder(sequence)
        kernels = self.fc_weight(out[_WEIGHT_TOKENS:-1] + channels)
        kernels = kernels.view(len(channels), BASE_KERNEL_SIZE, BASE_KERNEL_SIZE, -1)
        return kernels.permute(3, 0, 1, 2), self.fc_bias(out[-1])


class DynamicPatchEmbed(nn.Module):
    """Convolution with generated kernels, for spectral channels.

    Like the released model it pads by one pixel, so patch i sees the pixels `i * k - 1` to
    `i * k + k - 2`, and a side of H pixels gives `(H + 2 - k) // k + 1` tokens.
    """

    def __init__(self, embed_dim: int) -> None:
        """Build the embedding to *embed_dim* features."""
        super().__init__()
        self.weight_generator = KernelGenerator(embed_dim)
        self.fclayer = ResidualMLP(CHANNEL_DIM)
        self.apply(_init_linear)

    def describe(self, wavelengths_nm: Tensor, bandwidths_nm: Tensor) -> Tensor:
        """Return raw descriptions `[C, 128]` of channels with these centres and widths `[C]` (nm)."""
        return fourier_expansion(wavelengths_nm, CHANNEL_DIM, 100, 1e9) + fourier_expansion(
            bandwidths_nm, CHANNEL_DIM, 1, 1e9
        )

    def kernels(self, descriptions: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
        """Return convolution weights `[D, C, k, k]` and bias `[D]` for raw descriptions `[C, 128]`."""
        channels = self.fclayer(descriptions.to(self.fclayer.w1.weight.dtype))
        kernel, bias = self.weight_generator(channels)
        return resize_kernel(kernel, kernel_size) * _SCALE, bias * _SCALE

    def forward(self, x: Tensor, descriptions: Tensor, kernel_size: int) -> Tensor:
        """Map images `[B, C, H, W]` to token maps `[B, D, h, w]`."""
        kernel, bias = self.kernels(descriptions, kernel_size)
        return F.conv2d(x, kernel, bias, stride=kernel_size, padding=1)


class VariablePatchEmbed(DynamicPatchEmbed):
    """The same for geophysical variables, described by language vectors."""

    def __init__(self, embed_dim: int) -> None:
        """Build the embedding to *embed_dim* features."""
        super().__init__(embed_dim)
        self.language_proj = nn.Linear(LANGUAGE_DIM, CHANNEL_DIM)

    def describe_variables(self, vectors: Tensor) -> Tensor:
        """Return raw descriptions `[C, 128]` of variables with these language vectors `[C, 2048]`."""
        projected: Tensor = self.language_proj(vectors.to(self.language_proj.weight.dtype))
        return projected


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.constant_(module.bias, 0.01)
