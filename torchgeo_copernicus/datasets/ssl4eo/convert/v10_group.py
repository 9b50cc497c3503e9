"""A file of the Zarr edition of SSL4EO-S12 v1.1 made of places of v1.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, OFFSET_DN, Modality
from torchgeo_copernicus.datasets.ssl4eo.v10.grid import PlaceGrid, grid_around
from torchgeo_copernicus.datasets.ssl4eo.v10.place import Scene, folder_name, list_scenes
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import SceneReader, file_name
from torchgeo_copernicus.datasets.ssl4eo.v11.parts import Codec
from torchgeo_copernicus.datasets.ssl4eo.v11.variables import PlaceRecord, record_arrays
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import NewArray, write_zarr_zip

_LARGEST = int(np.iinfo(np.int16).max)


@dataclass(frozen=True)
class V10Group:
    """Some places of one modality.

    Attributes:
        modality: Which images.
        folders: Folder of each modality that there is; all of them tell where a place is.
        places: Ids in the wanted order.
        dates: Dates that each of them has.
        size: Side of the images (px of 10 m).
    """

    modality: Modality
    folders: Mapping[Modality, Path]
    places: tuple[int, ...]
    dates: int
    size: int

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return bytes and time of modification (ns) of every file that is read, by name.

        Raises:
            ValueError: If a band is missing.
        """
        found = {}
        for place in self.places:
            for modality, scene in self._scenes_of(place):
                bands = MODALITY_BANDS[modality]
                for band in bands if modality == self.modality else bands[:1]:
                    path = scene.path / file_name(band)
                    try:
                        stat = path.stat()
                    except FileNotFoundError as error:
                        raise ValueError(f'{path} is missing, a band of {modality}.') from error
                    name = f'{modality}/{place}/{scene.name}/{path.name}'
                    found[name] = (stat.st_size, stat.st_mtime_ns)
        return found

    def write(self, codec: Codec, path: Path) -> Mapping[str, int]:
        """Write the file.

        Args:
            codec: Compressor within Blosc.
            path: File to write.

        Returns:
            `saturated_px` (Sentinel-2 above 31767 DN), `missing_px` (stored as 0).

        Raises:
            ValueError: If a scene is missing or damaged.
        """
        reader = self._reader(self.modality)
        dtype = np.float16 if self.modality == 'S1GRD' else np.int16
        shape = (self.dates, len(reader.bands), self.size, self.size)
        images = np.empty((len(self.places), *shape), dtype)
        records, saturated, missing = [], 0, 0
        with reading_several():
            for place, target in zip(self.places, images, strict=True):
                scenes = list_scenes(self.folders[self.modality] / folder_name(place))
                if len(scenes) != self.dates:
                    raise ValueError(
                        f'{scenes[0].path.parent if scenes else folder_name(place)} has {len(scenes)} '
                        f'dates of {self.modality}, there were {self.dates} a moment ago.'
                    )
                for stored, scene in zip(target, scenes, strict=True):
                    values = reader.read(scene)[0].numpy()
                    missing += int((values == 0).sum())
                    if self.modality == 'S1GRD':
                        stored[...] = _decibels(values, scene)
                    else:
                        saturated += int((values > _LARGEST - OFFSET_DN).sum())
                        stored[...] = np.minimum(values + np.float32(OFFSET_DN), _LARGEST)
                records.append(_record(place, scenes, self._grid(place)))
        arrays = record_arrays(records, self.modality)
        dims = ('sample', 'time', 'band', 'y', 'x')
        arrays['bands'] = NewArray(images, dims, (len(images), 1, *shape[1:]))
        write_zarr_zip(path, arrays, Blosc(cname=codec, clevel=5, shuffle=Blosc.SHUFFLE))
        counts = {'missing_px': missing}
        return counts if self.modality == 'S1GRD' else {**counts, 'saturated_px': saturated}

    def _scenes_of(self, place: int) -> Iterator[tuple[Modality, Scene]]:
        for modality, folder in self.folders.items():
            # A place that another modality lacks can be converted for this one.
            if modality == self.modality or (folder / folder_name(place)).is_dir():
                for scene in list_scenes(folder / folder_name(place)):
                    yield modality, scene

    def _grid(self, place: int) -> PlaceGrid:
        found = list(self._scenes_of(place))
        centres = []
        for modality, scene in found:
            lon, lat = self._reader(modality).metadata(scene)[:2].tolist()
            centres.append((lon, lat))
        return grid_around(centres, [scene.name for _, scene in found], self.size)

    def _reader(self, modality: Modality) -> SceneReader:
        # Pixels repeated and 0 left alone: the values are those of the files.
        bands = MODALITY_BANDS[modality]
        return SceneReader(modality, bands, 'raw', True, 'nearest', 'stored', self.size)


def _decibels(values: NDArray[np.float32], scene: Scene) -> NDArray[np.float16]:
    largest = float(np.finfo(np.float16).max)
    if (np.isfinite(values) & (np.abs(values) > largest)).any():
        raise ValueError(f'{scene.path} holds values beyond {largest}, which are no decibels.')
    return np.where(values == 0, np.float32(np.nan), values).astype(np.float16)


def _record(place: int, scenes: list[Scene], grid: PlaceGrid) -> PlaceRecord:
    times = np.array([scene.time for scene in scenes], 'datetime64[s]')
    lon, lat = grid.lonlat
    return PlaceRecord(
        folder_name(place),
        times.astype(np.int64),
        tuple(scene.name for scene in scenes),
        grid.crs,
        lon,
        lat,
        grid.x,
        grid.y,
    )
