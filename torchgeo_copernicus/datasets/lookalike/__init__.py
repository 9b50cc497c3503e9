"""Look-alike datasets: seeded, synthetic, and laid out as the real archives are."""

from torchgeo_copernicus.datasets.lookalike.sample import MAKERS, write_sample

__all__ = ['MAKERS', 'write_sample']
