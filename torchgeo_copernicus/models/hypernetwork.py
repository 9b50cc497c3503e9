"""Patch embedding whose kernels are generated from what each channel measures.

One set of weights serves any number and order of channels. Method: DOFA (arXiv:2403.15356), extended by
Copernicus-FM (arXiv:2503.11849, section 4.1) from wavelengths to named variables.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_copernicus.models.channels import Channels, SpectralChannels, VariableChannels
from torchgeo_copernicus.models.constant import constant
from torchgeo_copernicus.models.derived import DerivedTensors, is_plain
from torchgeo_copernicus.models.fourier import fourier_expansion
from torchgeo_copernicus.models.kernel_resize import BASE_KERNEL_SIZE, resize_kernel
from torchgeo_copernicus.models.language import LANGUAGE_DIM

#: Width of a channel's description inside the hypernetwork.
CHANNEL_DIM = 128
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

    Kernels are kept and used again while they cannot change: frozen, or in evaluation mode without
    gradients. They are generated outside of autocast: one pass over a batch, but every pixel meets them.
    """

    def __init__(self, embed_dim: int) -> None:
        """Build the embedding to *embed_dim* features."""
        super().__init__()
        self.weight_generator = KernelGenerator(embed_dim)
        self.fclayer = ResidualMLP(CHANNEL_DIM)
        self.apply(_init_linear)
        self.kept_kernels = DerivedTensors()

    def train(self, mode: bool = True) -> DynamicPatchEmbed:
        """Set the mode and forget all kernels, as every pass with gradients does.

        PyTorch does not count the steps of fused optimizers; one may follow.
        """
        self.kept_kernels.clear()
        super().train(mode)
        return self

    def describe(self, channels: Channels, device: torch.device) -> Tensor:
        """Return raw descriptions `[C, 128]` of channels.

        Raises:
            ValueError: If they are variables.
        """
        if not isinstance(channels, SpectralChannels):
            raise ValueError('Variables are embedded by `VariablePatchEmbed`.')
        return _spectral_descriptions(channels.wavelengths_nm, channels.bandwidths_nm, device)

    def kernels(self, descriptions: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
        """Generate convolution weights `[D, C, k, k]` and bias `[D]` from raw descriptions `[C, 128]`."""
        with torch.autocast(descriptions.device.type, enabled=False):
            channels = self.fclayer(descriptions.to(self.fclayer.w1.weight.dtype))
            kernel, bias = self.weight_generator(channels)
            return resize_kernel(kernel, kernel_size) * _SCALE, bias * _SCALE

    def kernels_of(self, channels: Channels, kernel_size: int) -> tuple[Tensor, Tensor]:
        """Return convolution weights `[D, C, k, k]` and bias `[D]` for channels, kept ones if possible."""
        sources: list[Tensor] = list(self.parameters())
        device = self.weight_generator.weight_tokens.device

        def generate() -> tuple[Tensor, Tensor]:
            return self.kernels(self.describe(channels, device), kernel_size)

        # A replica of `nn.DataParallel` has no parameters to watch.
        if not sources:
            return generate()
        key: tuple[object, ...] = (channels, kernel_size)
        if isinstance(channels, VariableChannels):
            if not is_plain(channels.vectors):
                return generate()
            key = (channels.vectors.data_ptr(), len(channels.vectors), kernel_size)
            sources.append(channels.vectors)
        learns = any(source.requires_grad for source in sources)
        if learns and (self.training or torch.is_grad_enabled()):
            if not torch.compiler.is_compiling():
                self.kept_kernels.clear()
            return generate()
        kernel, bias = self.kept_kernels.get(key, sources, generate)
        return kernel, bias

    def forward(self, x: Tensor, channels: Channels, kernel_size: int) -> Tensor:
        """Map images `[B, C, H, W]` to token maps `[B, D, h, w]`."""
        kernel, bias = self.kernels_of(channels, kernel_size)
        return F.conv2d(x, kernel, bias, stride=kernel_size, padding=1)


class VariablePatchEmbed(DynamicPatchEmbed):
    """The same for geophysical variables, described by language vectors."""

    def __init__(self, embed_dim: int) -> None:
        """Build the embedding to *embed_dim* features."""
        super().__init__(embed_dim)
        self.language_proj = nn.Linear(LANGUAGE_DIM, CHANNEL_DIM)

    def describe(self, channels: Channels, device: torch.device) -> Tensor:
        """Return raw descriptions `[C, 128]` of variables.

        Raises:
            ValueError: If the channels are spectral.
        """
        if not isinstance(channels, VariableChannels):
            raise ValueError('Spectral channels are embedded by `DynamicPatchEmbed`.')
        vectors = channels.vectors.to(device, self.language_proj.weight.dtype)
        with torch.autocast(device.type, enabled=False):
            projected: Tensor = self.language_proj(vectors)
        return projected


@constant
def _spectral_descriptions(
    wavelengths_nm: tuple[float, ...], bandwidths_nm: tuple[float, ...], device: torch.device
) -> Tensor:
    centres = torch.tensor(wavelengths_nm, dtype=torch.float64, device=device)
    widths = torch.tensor(bandwidths_nm, dtype=torch.float64, device=device)
    waves = fourier_expansion(centres, CHANNEL_DIM, 100, 1e9)
    return waves + fourier_expansion(widths, CHANNEL_DIM, 1, 1e9)


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.constant_(module.bias, 0.01)
