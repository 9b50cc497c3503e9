"""What LC100 and Biomass share: Sentinel-3 images of one place at one to four dates."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

from torchgeo_copernicus.datasets.bench.dataset import BenchDataset, Reading, one_of
from torchgeo_copernicus.datasets.bench.task import Split

Mode = Literal['static', 'time-series']

#: Most images of one place.
DATES = 4


class Sentinel3Series(BenchDataset):
    """Reads `s3_olci/<place>/`, one image of it or all; the place is the name of a sample."""

    padded = True

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        mode: Mode = 'static',
        native: bool = False,
        **reading: Unpack[Reading],
    ) -> None:
        """Find the data.

        Args:
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            mode: `static` for the one image the benchmark uses, or `time-series` for all of a place, by
                date and filled up to four by repeating the last; `valid` tells which are repetitions.
            native: Leave images at 300 m as they are stored, a few of them smaller than others, instead
                of bringing them to the labels' grid: nine times less to move. The datamodule does so,
                and enlarges whole batches.
            **reading: `bands`, `transforms`, `download` and `checksum`, see `BenchDataset`.

        Raises:
            DatasetNotFoundError: If the data is not there and *download* is False.
            ValueError: If an argument is unknown, or files are missing or damaged.
        """
        one_of('mode', mode, Mode)
        self.mode = mode
        self.native = native
        self.dates = DATES if mode == 'time-series' else None
        super().__init__(root, split, **reading)

    def _listed(self) -> list[str]:
        places = self._places()
        if self.dates is None:
            chosen = self._chosen()
            if unknown := [place for place in places if place not in chosen]:
                raise ValueError(
                    f'{self._chosen_file()} names no image for {len(unknown)} places of '
                    f'{self.split_file}, the first is {unknown[0]}. {self._advice()}'
                )
            self._files = {place: [chosen[place]] for place in places}
        else:
            self._files = {place: self._found(place) for place in places}
        return places

    def _places(self) -> list[str]:
        """Return the places of the split in its order."""
        return list(self._chosen())

    def _chosen_file(self) -> Path:
        return self.folder / f'static_fnames-{self.split}.csv'

    def _chosen(self) -> dict[str, str]:
        """Return the file name of the one image of each place."""
        rows = [line.split(',') for line in self._lines(self._chosen_file())]
        if bad := [row for row in rows if len(row) != 2]:
            raise ValueError(f'{self._chosen_file()} holds {bad[0]}; wanted a place and a file.')
        chosen = {place.strip(): name.strip() for place, name in rows}
        if len(chosen) < len(rows):
            raise ValueError(f'{self._chosen_file()} lists a place twice.')
        return chosen

    def _found(self, place: str) -> list[str]:
        folder = self.folder / 's3_olci' / place
        names = [path.name for path in folder.glob('*.tif')]
        if not 1 <= len(names) <= DATES:
            raise ValueError(
                f'{folder} holds {len(names)} images, wanted 1 to {DATES}. {self._advice()}'
            )
        # Date and time come after the satellite, whose letter must not decide.
        return sorted(names, key=lambda name: (str(self._date(folder / name)), name.split('_')[1:]))

    def _image_paths(self, name: str) -> list[Path]:
        return [self.folder / 's3_olci' / name / file for file in self._files[name]]
