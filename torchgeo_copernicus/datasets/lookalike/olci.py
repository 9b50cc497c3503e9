"""Give land covers and clouds the radiance that Sentinel-3 OLCI sees.

Covers have a reflectance at the ground; the air above adds blue light and takes some away, most of
all where oxygen (761 to 768 nm) and water vapour (900 and 940 nm) absorb. Bands are those of the
sensor's declaration, in its order.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from torchgeo_copernicus.datasets.lookalike.geotiff import Place
from torchgeo_copernicus.datasets.lookalike.spectra import Shares
from torchgeo_copernicus.sensors import OLCI_SCALE, S3_OLCI

#: Side of a pixel of 300 m at the equator (degrees).
PIXEL_DEG = 0.0027
WGS84 = CRS.from_epsg(4326)

# Wavelength (nm), sunlight outside the air (mW m-2 nm-1), and below them reflectance x 1000, at the
# ground or the top of a cloud: typical values set by hand, not measured; for that see the USGS
# Spectral Library 7.
_TABLE = """
nm          400  442  490  560  620  665  681  709  754  779  865  940 1020
sun        1515 1890 1937 1803 1650 1531 1472 1404 1264 1177  958  824  694
water        30   38   45   42   15   10    9    7    3    3    2    1    1
ocean        40   35   25   10    3    2    1    1    0    0    0    0    0
shade        10   10   10   10   10   10   10   10   10   10   10   10   10
forest       20   25   28   52   36   28   27  105  330  360  390  385  385
rainforest   14   17   20   38   25   20   19   80  270  295  320  310  310
conifer      15   18   20   33   27   22   21   60  170  190  215  210  210
larch        20   24   27   45   38   33   32   85  225  245  270  265  265
twigs        35   40   50   70   85   95  100  120  150  160  190  200  220
crop         25   30   35   75   50   40   37  140  420  460  490  480  480
grass        30   40   50   85   80   75   75  150  290  310  345  350  360
dry_grass    60   75   95  140  175  200  205  225  250  260  290  305  325
shrub        30   35   45   70   70   66   66  110  195  210  235  240  250
soil         50   60   80  120  155  175  180  190  205  210  235  250  265
sand        100  130  180  280  350  390  395  405  415  420  440  455  470
built        80   90  110  130  145  155  160  175  200  205  225  230  240
lichen      100  140  190  260  280  290  290  320  360  370  410  430  450
snow        880  900  900  900  890  880  880  870  860  850  800  750  590
cloud       720  740  750  750  750  750  750  750  755  760  760  755  750
"""
_ROWS = {name: np.array(row, float) for name, *row in map(str.split, _TABLE.strip().splitlines())}
_CENTRES = np.array([band.wavelength_nm for band in S3_OLCI.bands], dtype=np.float64)
_AT_BANDS = {name: np.interp(_CENTRES, _ROWS['nm'], row) for name, row in _ROWS.items()}
_SUN = _AT_BANDS['sun']

#: Cover name -> reflectance (1) in each band, `[21]`.
COVERS: dict[str, NDArray[np.float64]] = {
    name: row / 1000 for name, row in _AT_BANDS.items() if name not in ('nm', 'sun')
}


def _depths(by_band: dict[str, float]) -> NDArray[np.float64]:
    depths = np.zeros(len(S3_OLCI.bands))
    for name, depth in by_band.items():
        depths[S3_OLCI.band_names.index(f'{name}_radiance')] = depth
    return depths


# Optical thickness down and up again, of gases and of the air itself.
_OXYGEN = _depths({'Oa13': 1.25, 'Oa14': 0.67, 'Oa15': 0.135})
_VAPOUR = _depths({'Oa11': 0.03, 'Oa18': 0.02, 'Oa19': 0.25, 'Oa20': 0.95})
_RAYLEIGH = 0.36 * (400 / _CENTRES) ** 4.05
# Part of the sunlight that arrives from the whole sky, and so reaches shadows too.
_DIFFUSE = 0.45 * (442.5 / _CENTRES) ** 1.7


@dataclass(frozen=True)
class Sky:
    """Sun and air.

    Attributes:
        sun: Cosine of the angle between the sun and the zenith.
        haze: Optical thickness of the dust at 550 nm.
        vapour: Water vapour relative to a usual column.
    """

    sun: float
    haze: float = 0.15
    vapour: float = 1.0


def mix(weights: Shares) -> NDArray[np.float64]:
    """Mix covers linearly, pixel by pixel.

    Args:
        weights: Cover name -> non-negative weight `[H, W]`; they need not sum to one.

    Returns:
        Reflectance (1), `[21, H, W]`.
    """
    spectra = np.stack([COVERS[cover] for cover in weights])
    shares = np.stack(list(weights.values()))
    return np.asarray(np.tensordot(spectra, shares / shares.sum(axis=0), axes=(0, 0)))


def radiance(
    reflectance: NDArray[np.float64],
    sky: Sky,
    light: NDArray[np.float64] | float = 1.0,
    above: float = 1.0,
) -> NDArray[np.float64]:
    """Look at a surface from above the air.

    Args:
        reflectance: Reflectance of the surface (1), `[21, H, W]`.
        sky: Sun and air.
        light: Direct sunlight on it relative to flat ground (1), `[H, W]`.
        above: Part of the air that is above it: 1 for the ground, less for clouds.

    Returns:
        Radiance (mW m-2 sr-1 nm-1), `[21, H, W]`.
    """
    dust = sky.haze * (550 / _CENTRES) ** 1.2
    gases = above * (_OXYGEN + sky.vapour * above * _VAPOUR)  # vapour stays low
    path = above * (0.55 * _RAYLEIGH + 0.05 * dust) * np.exp(-0.5 * gases)
    through = np.exp(-gases - above * (0.9 * _RAYLEIGH + 0.15 * dust))
    sun = _SUN * sky.sun / np.pi
    path, through, diffuse = (v[:, None, None] for v in (sun * path, sun * through, _DIFFUSE))
    return np.asarray(path + through * reflectance * (diffuse + (1 - diffuse) * light))


def to_counts(image: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Measure radiance as the archives keep it: whole counts, with noise.

    Args:
        image: Radiance (mW m-2 sr-1 nm-1), `[21, H, W]`.
        rng: Source of the noise of the sensor.

    Returns:
        Counts = radiance / `OLCI_SCALE`, `[21, H, W]`.
    """
    scale = np.array([OLCI_SCALE[name] for name in S3_OLCI.band_names])[:, None, None]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    counts = (image + (0.05 + 0.004 * image) * noise) / scale
    return np.asarray(np.clip(np.rint(counts), 1, 65_534), dtype=np.float32)


def swath_edge(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Draw where the satellite did not look: beyond a slanted line, 5 to 20 % of the image.

    Args:
        rng: Source of the line.
        size: Side of the image in pixels.

    Returns:
        True where there is no data, `[size, size]`.
    """
    y, x = np.mgrid[:size, :size]
    across = x + rng.uniform(-0.3, 0.3) * y
    return np.asarray(across > np.quantile(across, rng.uniform(0.8, 0.95)))


def overpass(place: Place, day: int, year: int, rng: np.random.Generator) -> tuple[datetime, float]:
    """Choose when the satellite passes, at ten in the morning of the place.

    Args:
        place: Where.
        day: Days since the first of January.
        year: Year.
        rng: Source of the minutes.

    Returns:
        Time (UTC) and the cosine of the angle between the sun and the zenith.
    """
    local = datetime(year, 1, 1, 10) + timedelta(days=day, seconds=int(rng.integers(-1800, 1800)))
    tilt = np.deg2rad(-23.4) * np.cos(2 * np.pi * (day + 10) / 365)
    lat = np.deg2rad(place.lat)
    sun = np.sin(lat) * np.sin(tilt) + np.cos(lat) * np.cos(tilt) * np.cos(np.deg2rad(30))
    return local - timedelta(hours=place.lon / 15), max(float(sun), 0.15)
