"""Writes what `terratorch predict` predicts: maps as GeoTIFF, labels as a table.

TerraTorch's own writer copies the grid of the input file, and fails where a prediction has another size
(LC100Seg, Biomass, Cloud-S3) or there is no raster (LCZ); it names files after the last part of their
path, which all air quality images share; and it paints a whole raster with a class.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import rasterio
import torch
from lightning.pytorch import LightningModule, Trainer
from rasterio.errors import RasterioIOError
from rasterio.transform import Affine
from terratorch.cli_tools import CustomWriter
from torch import Tensor

from torchgeo_copernicus.datamodules.bench import BenchDataModule

#: Class of a pixel without one.
_NO_CLASS = 255


class BenchPredictionWriter(CustomWriter):  # type: ignore[misc]
    """Takes the place of TerraTorch's writer in the tasks of this package.

    Maps go to `<directory>/<path of the image below the data's root>_pred.tif`: one byte per class, or
    float32 in the unit of the target. They cover the same ground as the image, in their own resolution.
    Labels go to `<directory>/predictions_<process>.csv`: the class, or the probability of each label.
    Nothing is written unless `--predict_output_dir` says where. `--out_dtype` does not apply: classes are
    bytes and values float32.
    """

    def __init__(self, class_names: Sequence[str] | None) -> None:
        """Set the names.

        Args:
            class_names: For the table; numbers when None.
        """
        super().__init__(write_interval='batch')
        self.class_names = class_names
        self._started: set[Path] = set()

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: object,
        batch_indices: Sequence[int] | None,
        batch: object,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the predictions of a batch.

        Raises:
            ValueError: If the batch has no file names, or all files were to have one name.
        """
        directory = getattr(trainer, 'predict_output_dir', None)
        if directory is None:
            return
        if getattr(trainer, 'output_file_prefix', None) is not None:
            raise ValueError('output_file_prefix would give all maps one name; leave it out.')
        values, names = prediction if isinstance(prediction, tuple) else (prediction, None)
        if isinstance(names, Mapping):
            # Of several modalities of one place, any file will do.
            names = next((found for found in names.values() if isinstance(found, list)), None)
        if not isinstance(names, list):
            raise ValueError('Predictions can only be written for batches with `filename`.')
        outputs = values if isinstance(values, list) else [values]
        for output in outputs:
            tensor, suffix = output if isinstance(output, tuple) else (output, 'pred')
            if tensor.ndim > 2:
                paths = [_below(directory, name, trainer, suffix) for name in names]
                for values, name, path in zip(tensor, names, paths, strict=True):
                    write_map(values, Path(name), path)
            else:
                table = Path(directory) / f'predictions_{trainer.global_rank}.csv'
                self._append(table, tensor.cpu(), names)

    def _append(self, table: Path, values: Tensor, names: Sequence[str]) -> None:
        header = ['filename', 'class']
        if values.ndim == 1:
            rows = [[self._name(int(value))] for value in values]
        else:
            header = ['filename', *(self._name(index) for index in range(values.shape[1]))]
            rows = [[f'{value:.6f}' for value in row] for row in values.tolist()]
        table.parent.mkdir(parents=True, exist_ok=True)
        # A second run starts a new table.
        mode = 'a' if table in self._started else 'w'
        with table.open(mode, newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            if table not in self._started:
                writer.writerow(header)
            writer.writerows([name, *row] for name, row in zip(names, rows, strict=True))
        self._started.add(table)

    def _name(self, index: int) -> str:
        return str(index) if self.class_names is None else self.class_names[index]


def write_map(values: Tensor, source: Path, path: Path) -> None:
    """Write a map over the ground of an image.

    Args:
        values: Classes (integers) or values (float) `[H, W]`, or `[C, H, W]` such as probabilities.
        source: The image.
        path: GeoTIFF to write.

    Raises:
        ValueError: If the image cannot be read.
    """
    planes = values[None] if values.ndim == 2 else values
    if planes.is_floating_point():
        pixels, nodata = planes.float().cpu().numpy(), float('nan')
    else:
        pixels, nodata = planes.to(torch.uint8).cpu().numpy(), _NO_CLASS
    height, width = pixels.shape[1:]
    try:
        with rasterio.open(source) as file:
            crs = file.crs
            transform = file.transform @ Affine.scale(file.width / width, file.height / height)
    except RasterioIOError as error:
        raise ValueError(
            f'{source} is no raster to take the ground of a map from: {error}'
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=len(pixels),
        height=height,
        width=width,
        dtype=pixels.dtype.name,
        crs=crs,
        transform=transform,
        nodata=nodata,
        compress='deflate',
    ) as file:
        file.write(pixels)


def _below(directory: str, name: str, trainer: Trainer, suffix: str) -> Path:
    """Return where a map goes."""
    path = Path(name)
    datamodule: object = getattr(trainer, 'datamodule', None)
    if isinstance(datamodule, BenchDataModule):
        path = Path(os.path.relpath(path, datamodule.kwargs['root']))
    else:
        path = Path(path.name)
    return Path(directory) / path.with_name(f'{path.stem}_{suffix}.tif')
