"""One piece of a collection: all images of a modality of one place, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torchgeo_copernicus.collect.place import Place
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName


@dataclass(frozen=True)
class Task:
    """Images to collect.

    Attributes:
        modality: Which.
        cell: Of which cell.
        place: Of which local patch, for Sentinel-1 and -2.
    """

    modality: ModalityName
    cell: Cell
    place: Place | None = None

    def __post_init__(self) -> None:
        """Check that there is a place where one is needed.

        Raises:
            ValueError: If it is missing, not needed, or in another cell.
        """
        if MODALITIES[self.modality].local != (self.place is not None):
            raise ValueError(
                f'Images of {self.modality} are of '
                f'{"a place" if self.place is None else "the whole cell, not of a place"}.'
            )
        if self.place is not None and self.place.cell != self.cell:
            raise ValueError(f'Place {self.place.name} is not in cell {self.cell.name}.')

    @property
    def key(self) -> str:
        """Its name: modality, cell and local patch."""
        names = [self.modality, self.cell.name]
        return '/'.join(names if self.place is None else [*names, self.place.name])

    @property
    def folder(self) -> str:
        """Its folder below the root, as in the released GeoTIFFs."""
        folder = MODALITIES[self.modality].folder
        return f'{folder}/{self.key.partition("/")[2]}'


def tasks_of(
    modalities: Sequence[ModalityName], cells: Iterable[Cell], places: Iterable[Place]
) -> list[Task]:
    """Return the tasks of some modalities: of the cells, or of the places for Sentinel-1 and -2."""
    cells, places = sorted(set(cells)), list(places)
    tasks: list[Task] = []
    for modality in modalities:
        if MODALITIES[modality].local:
            tasks += [Task(modality, place.cell, place) for place in places]
        else:
            tasks += [Task(modality, cell) for cell in cells]
    return tasks
