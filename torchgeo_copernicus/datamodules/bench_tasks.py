"""One datamodule per task of Copernicus-Bench, and the options that only some have."""

from __future__ import annotations

from typing import Unpack

from torchgeo_copernicus.datamodules.bench import BenchDataModule, Settings
from torchgeo_copernicus.datasets.bench import (
    CopernicusBenchAQNO2S5P,
    CopernicusBenchAQO3S5P,
    CopernicusBenchBigEarthNetS1,
    CopernicusBenchBigEarthNetS2,
    CopernicusBenchBiomassS3,
    CopernicusBenchCloudS2,
    CopernicusBenchCloudS3,
    CopernicusBenchDFC2020S1,
    CopernicusBenchDFC2020S2,
    CopernicusBenchEuroSATS1,
    CopernicusBenchEuroSATS2,
    CopernicusBenchFloodS1,
    CopernicusBenchLC100ClsS3,
    CopernicusBenchLC100SegS3,
    CopernicusBenchLCZS2,
    cloud_s3,
)
from torchgeo_copernicus.datasets.bench.air_quality import Mode as AirQualityMode
from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.bench.eurosat import ClassOrder, with_order
from torchgeo_copernicus.datasets.bench.flood_s1 import Mode as FloodMode
from torchgeo_copernicus.datasets.bench.sentinel3_series import Mode as SeriesMode
from torchgeo_copernicus.datasets.bench.task import BenchTask
from torchgeo_copernicus.sensors import Statistics


class CopernicusBenchCloudS2DataModule(BenchDataModule):
    """Cloud-S2: 13 bands, 512 px, patches of 16 px; see `CopernicusBenchCloudS2`."""

    dataset_type = CopernicusBenchCloudS2


class CopernicusBenchCloudS3DataModule(BenchDataModule):
    """Cloud-S3: 21 bands, 256 px reduced to 224; see `CopernicusBenchCloudS3`."""

    dataset_type = CopernicusBenchCloudS3

    def __init__(
        self,
        root: str = 'data',
        mode: cloud_s3.Mode = 'multi',
        naming: cloud_s3.Naming = 'official',
        **settings: Unpack[Settings],
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            mode: `multi` for five classes, `binary` for two.
            naming: Whose names of the codes 2 and 3, `official` or `torchgeo`.
            **settings: See `BenchDataModule`.
        """
        self.mode, self.naming = mode, naming
        super().__init__(root, **settings)

    def _options(self) -> dict[str, object]:
        return {'mode': self.mode, 'naming': self.naming}

    @property
    def task(self) -> BenchTask:
        """The declaration for the masks and names chosen."""
        return cloud_s3.variant(self.mode, self.naming)


class _EuroSATDataModule(BenchDataModule):
    """EuroSAT with a choice of class order."""

    def __init__(
        self,
        root: str = 'data',
        class_order: ClassOrder = 'alphabetical',
        **settings: Unpack[Settings],
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            class_order: `alphabetical`, as published, or `torchgeo`: the labels of TorchGeo's class.
            **settings: See `BenchDataModule`.
        """
        self.class_order = class_order
        super().__init__(root, **settings)

    def _options(self) -> dict[str, object]:
        return {'class_order': self.class_order}

    @property
    def task(self) -> BenchTask:
        """The declaration with the classes in the order chosen."""
        return with_order(self.dataset_type.task, self.class_order)


class CopernicusBenchEuroSATS1DataModule(_EuroSATDataModule):
    """EuroSAT-S1: 2 bands, 64 px enlarged to 224; see `CopernicusBenchEuroSATS1`."""

    dataset_type = CopernicusBenchEuroSATS1


class CopernicusBenchEuroSATS2DataModule(_EuroSATDataModule):
    """EuroSAT-S2: 13 bands, 64 px enlarged to 224; see `CopernicusBenchEuroSATS2`."""

    dataset_type = CopernicusBenchEuroSATS2


class CopernicusBenchBigEarthNetS1DataModule(BenchDataModule):
    """BigEarthNet-S1: 2 bands, 120 px enlarged to 224; see `CopernicusBenchBigEarthNetS1`."""

    dataset_type = CopernicusBenchBigEarthNetS1


class CopernicusBenchBigEarthNetS2DataModule(BenchDataModule):
    """BigEarthNet-S2: 12 bands, 120 px enlarged to 224; see `CopernicusBenchBigEarthNetS2`."""

    dataset_type = CopernicusBenchBigEarthNetS2


class _SeriesDataModule(BenchDataModule):
    """Sentinel-3 images of one date or several."""

    def __init__(
        self, root: str = 'data', mode: SeriesMode = 'static', **settings: Unpack[Settings]
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            mode: `static` for one image, as published, or `time-series` for up to four; for those the
                backbone needs `backbone_series: mean` (or `max`).
            **settings: See `BenchDataModule`.
        """
        self.mode = mode
        super().__init__(root, **settings)

    def _options(self) -> dict[str, object]:
        return {'mode': self.mode, 'native': True}


class CopernicusBenchLC100ClsS3DataModule(_SeriesDataModule):
    """LC100Cls-S3: 21 bands, 96 px; see `CopernicusBenchLC100ClsS3`."""

    dataset_type = CopernicusBenchLC100ClsS3


class CopernicusBenchLC100SegS3DataModule(_SeriesDataModule):
    """LC100Seg-S3: 21 bands, 288 px; see `CopernicusBenchLC100SegS3`."""

    dataset_type = CopernicusBenchLC100SegS3


class CopernicusBenchDFC2020S1DataModule(BenchDataModule):
    """DFC2020-S1: 2 bands, 256 px; see `CopernicusBenchDFC2020S1`."""

    dataset_type = CopernicusBenchDFC2020S1


class CopernicusBenchDFC2020S2DataModule(BenchDataModule):
    """DFC2020-S2: 13 bands, 256 px; see `CopernicusBenchDFC2020S2`."""

    dataset_type = CopernicusBenchDFC2020S2


class CopernicusBenchFloodS1DataModule(BenchDataModule):
    """Flood-S1: 2 bands at two dates, 224 px; see `CopernicusBenchFloodS1`."""

    dataset_type = CopernicusBenchFloodS1

    def __init__(
        self,
        root: str = 'data',
        mode: FloodMode = 1,
        published_std: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            mode: Number of images before the flood, 1 as published or 2.
            published_std: Normalise the image after the flood as published, with deviations that are
                the means by a slip; else like the images before it.
            **settings: See `BenchDataModule`.
        """
        one_of('mode', mode, FloodMode)
        self.mode, self.published_std = mode, published_std
        super().__init__(root, **settings)

    def _options(self) -> dict[str, object]:
        return {'mode': self.mode}

    def _statistics(self) -> tuple[Statistics, ...]:
        before, after = super()._statistics()
        return (*[before] * self.mode, after if self.published_std else before)


class CopernicusBenchLCZS2DataModule(BenchDataModule):
    """LCZ-S2: 10 bands, 32 px enlarged to 112; see `CopernicusBenchLCZS2`."""

    dataset_type = CopernicusBenchLCZS2


class CopernicusBenchBiomassS3DataModule(BenchDataModule):
    """Biomass-S3: 21 bands, 288 px; see `CopernicusBenchBiomassS3`."""

    dataset_type = CopernicusBenchBiomassS3

    def __init__(
        self,
        root: str = 'data',
        mode: SeriesMode = 'static',
        published_gsd: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            mode: `static` for one image, as published, or `time-series` for up to four.
            published_gsd: Tell the encoder 600 m per pixel, as the published run did by a slip; else
                the true 300 m.
            **settings: See `BenchDataModule`.
        """
        self.mode, self.published_gsd = mode, published_gsd
        super().__init__(root, **settings)

    def _options(self) -> dict[str, object]:
        return {'mode': self.mode, 'native': True}

    def _published(self) -> bool:
        return self.published_gsd


class _AirQualityDataModule(BenchDataModule):
    """Columns of a gas, the mean of a year or of each season."""

    def __init__(
        self, root: str = 'data', mode: AirQualityMode = 'annual', **settings: Unpack[Settings]
    ) -> None:
        """Set up the splits.

        Args:
            root: Folder that holds the dataset's folder or its archive.
            mode: `annual`, as published, or `seasonal` for four images; for those the backbone needs
                `backbone_series: mean` (or `max`).
            **settings: See `BenchDataModule`.
        """
        self.mode = mode
        super().__init__(root, **settings)

    def _options(self) -> dict[str, object]:
        return {'mode': self.mode}


class CopernicusBenchAQNO2S5PDataModule(_AirQualityDataModule):
    """AQ-NO2-S5P: the column of nitrogen dioxide, 56 px; see `CopernicusBenchAQNO2S5P`."""

    dataset_type = CopernicusBenchAQNO2S5P


class CopernicusBenchAQO3S5PDataModule(_AirQualityDataModule):
    """AQ-O3-S5P: the column of ozone, 56 px; see `CopernicusBenchAQO3S5P`."""

    dataset_type = CopernicusBenchAQO3S5P
