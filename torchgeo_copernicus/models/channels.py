"""What the channels of an input measure: wavelengths, or variables with language vectors.

All ways a caller may say it come together here and are checked for wrong units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from torchgeo_copernicus.models.constant import as_constant
from torchgeo_copernicus.models.language import check_language_vectors, language_vectors
from torchgeo_copernicus.sensors import Band, Sensor, resolve_bands

Bands = Sensor | Sequence[Band | str | Enum]
Language = Tensor | str | Sequence[str]


@dataclass(frozen=True)
class SpectralChannels:
    """Channels with these centres and widths (nm)."""

    wavelengths_nm: tuple[float, ...]
    bandwidths_nm: tuple[float, ...]

    def __len__(self) -> int:
        """Return the number of channels."""
        return len(self.wavelengths_nm)


@dataclass(frozen=True, eq=False)
class VariableChannels:
    """Channels with these language vectors, `[C, 2048]`; perhaps shared, not to be changed in place."""

    vectors: Tensor

    def __len__(self) -> int:
        """Return the number of channels."""
        return self.vectors.shape[0]


Channels = SpectralChannels | VariableChannels


def resolve_channels(
    bands: Bands | None = None,
    wavelengths_nm: Sequence[float] | Tensor | None = None,
    bandwidths_nm: Sequence[float] | Tensor | None = None,
    language_embedding: Language | None = None,
) -> Channels:
    """Bring the ways to describe channels to one.

    Exactly one is to be given: *bands*; or *wavelengths_nm* with *bandwidths_nm*; or
    *language_embedding*.

    Args:
        bands: A sensor, or bands by value or name.
        wavelengths_nm: Central wavelengths `[C]` (nm).
        bandwidths_nm: Bandwidths `[C]` (nm).
        language_embedding: A vector `[2048]`, vectors `[C, 2048]`, or names of released variables.

    Raises:
        ValueError: If none or several are given, or a value cannot be in nanometres.
    """
    spectral = wavelengths_nm is not None or bandwidths_nm is not None
    if (bands is not None) + spectral + (language_embedding is not None) != 1:
        raise ValueError(
            'Say what the channels measure in exactly one way: bands=, or wavelengths_nm= and '
            'bandwidths_nm=, or language_embedding=.'
        )
    if language_embedding is not None:
        return VariableChannels(_vectors(language_embedding))
    if bands is not None:
        return _from_bands(resolve_bands(bands))
    if wavelengths_nm is None or bandwidths_nm is None:
        raise ValueError('wavelengths_nm and bandwidths_nm go together; one of them is missing.')
    return _spectral(wavelengths_nm, bandwidths_nm)


def _from_bands(bands: tuple[Band, ...]) -> Channels:
    variables = [band.variable for band in bands if band.variable is not None]
    if variables and len(variables) < len(bands):
        raise ValueError(
            f'{[band.name for band in bands]} mixes spectral bands with variables; they are embedded '
            'by different hypernetworks and need one call each.'
        )
    if variables:
        return VariableChannels(_vectors(variables))
    return _spectral(
        [band.wavelength_nm for band in bands if band.wavelength_nm is not None],
        [band.bandwidth_nm for band in bands if band.bandwidth_nm is not None],
    )


def _spectral(
    wavelengths: Sequence[float] | Tensor, bandwidths: Sequence[float] | Tensor
) -> SpectralChannels:
    centres, widths = (
        [as_constant(float(value)) for value in values] for values in (wavelengths, bandwidths)
    )
    if len(centres) != len(widths):
        raise ValueError(f'{len(centres)} wavelengths_nm, but {len(widths)} bandwidths_nm.')
    for name, values, shortest in (('wavelength', centres, 100.0), ('bandwidth', widths, 1.0)):
        for value in values:
            # NaN is not between them either.
            if not shortest <= value <= 1e9:
                raise ValueError(
                    f'{name} {value:g} is not between {shortest:g} and 1e9 nm; it is wanted in '
                    'nanometres (1 um = 1000 nm).'
                )
    return SpectralChannels(tuple(centres), tuple(widths))


def _vectors(language: Language) -> Tensor:
    if isinstance(language, str):
        return language_vectors((language,))
    if not isinstance(language, Tensor):
        if not language:
            raise ValueError('language_embedding is empty; name at least one variable.')
        return language_vectors(tuple(language))
    vectors = language[None] if language.ndim == 1 else language
    check_language_vectors(vectors, 'language_embedding')
    return vectors
