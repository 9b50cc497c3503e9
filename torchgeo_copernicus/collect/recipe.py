"""The choices of a collection, and which of them decide the images of a modality."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torchgeo_copernicus.collect.products import Product, product_of
from torchgeo_copernicus.collect.seasons import Window, drawn_shift, polar_windows, season_windows
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName


@dataclass(frozen=True)
class Recipe:
    """How images are chosen.

    Attributes:
        seed: Of what is drawn: the dates of Sentinel-3, and the shifts.
        polar: Whether the places are polar: Sentinel-1 in HH and HV, and one image of Sentinel-1 and -2 of
            each of four years instead of one of each season.
        cloud_percent: Largest share of clouds in a scene of Sentinel-2 (%).
        year: Of Sentinel-3 and -5P.
        shifted: Whether the season dates of each place are a drawn number of days earlier, as in SSL4EO-S12.
        harmonized: Whether all Sentinel-2 is reflectance x 10000; else as published.
    """

    seed: int = 0
    polar: bool = False
    cloud_percent: float = 20.0
    year: int = 2021
    shifted: bool = False
    harmonized: bool = True

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            ValueError: If one is impossible, or has no effect with another.
        """
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f'seed must be a whole number of at least 0, got {self.seed!r}.')
        share = self.cloud_percent
        if not (isinstance(share, int | float) and math.isfinite(share) and 0 <= share <= 100):
            raise ValueError(f'cloud_percent must be 0 to 100, got {share!r}.')
        if not (isinstance(self.year, int) and 2016 <= self.year <= 9998):
            raise ValueError(
                f'year is {self.year!r}; Sentinel-3 began in 2016, and Sentinel-5P in 2018.'
            )
        if self.polar and self.shifted:
            raise ValueError('shifted has no effect on polar places; choose one of the two.')

    def product(self, modality: ModalityName) -> Product:
        """Return the product of a modality."""
        return product_of(modality, polar=self.polar, harmonized=self.harmonized)

    def windows(self, number: int) -> tuple[tuple[Window, ...], ...]:
        """Return where to look for the images of Sentinel-1 and -2 of a place: windows for each of them.

        Args:
            number: Number of the place.
        """
        if self.polar:
            return polar_windows()
        return season_windows(shift_days=drawn_shift(self.seed, number) if self.shifted else 0)

    def options(self, modality: ModalityName) -> dict[str, object]:
        """Return what decides the images of a modality, as plain values."""
        product = self.product(modality)
        options: dict[str, object] = {
            'collection': product.collection,
            'bands': list(product.bands),
            'scale_m': product.scale_m,
        }
        if modality in ('s1_grd', 's2_toa'):
            options['polar'] = self.polar
            options['shifted'] = self.shifted
            if self.shifted:
                options['seed'] = self.seed
            if modality == 's2_toa':
                options['cloud_percent'] = float(self.cloud_percent)
        elif modality != 'dem':
            options['year'] = self.year
            if modality == 's3_olci':
                options['seed'] = self.seed
        return options
