"""The datamodule over GeoTIFFs as they are published, whose sizes vary."""

from pathlib import Path

import pytest
import rasterio
import torch

from tests.datamodules.pretrain_fakes import SMALL_PX, same_batches
from tests.datamodules.test_pretrain_datamodule import STATISTICS, Recorder, batches, trainer
from torchgeo_copernicus.datamodules.pretrain import CopernicusPretrainDataModule
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')
CELLS = 4


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('geotiff'), n=CELLS, seed=0, size=33)


def module(root: Path, **options: object) -> CopernicusPretrainDataModule:
    given: dict[str, object] = {
        'dataset': 'geotiff',
        'batch_size': 2,
        'statistics': STATISTICS,
        'sizes_px': SMALL_PX,
        'dataset_args': {'root': str(root)},
    }
    return CopernicusPretrainDataModule(**(given | options))  # type: ignore[arg-type]


def test_images_of_all_sizes_make_a_batch(root: Path) -> None:
    (batch,) = batches(module(root, batch_size=CELLS, patches=None, dates='all'))
    assert len(batch['grid_id']) == CELLS
    for name in MODALITY_NAMES:
        present = batch['present'][name]
        assert present.any()
        assert set(batch['rows'][name].tolist()) == set(present.nonzero().flatten().tolist())
        assert batch['image'][name].shape[2:] == (SMALL_PX[name], SMALL_PX[name])
        assert batch['image'][name].isfinite().all()
    assert not all(bool(there.all()) for there in batch['present'].values())


def test_one_cell_at_a_time_is_the_same_as_a_batch(root: Path) -> None:
    (whole,) = batches(module(root, batch_size=CELLS))
    alone = batches(module(root, batch_size=1))
    for name in MODALITY_NAMES:
        found = [batch['image'][name] for batch in alone if name in batch['image']]
        assert torch.equal(torch.cat(found), whole['image'][name])


@pytest.mark.parametrize('axis', [0, 1])
def test_the_metadata_of_a_crop_is_the_place_its_pixels_are_of(root: Path, axis: int) -> None:
    # Elevation is replaced by longitude or latitude, also of a polar cell, whose image is wider than high.
    data = module(root, modalities='dem', statistics={'dem': {'DEM': [0, 1]}}, sizes_px={'dem': 64})
    data.setup('fit')
    widths = []
    # One cell has no elevation, and is left out.
    for number in range(CELLS - 1):
        sample = data.train_dataset[number]  # type: ignore[index]
        (path,) = root.glob(f'dem_grid_wgs/images/{sample["grid_id"]:07d}_*/dem.tif')
        with rasterio.open(path) as raster:
            transform, height, width = raster.transform, raster.height, raster.width
        columns, rows = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
        place = (
            (transform.c + transform.a * columns).expand(height, width),
            (transform.f + transform.e * rows).expand(height, width),
        )[axis]
        painted = {**sample, 'image': {'dem': place[None].float()}}
        for epoch in range(4):
            batch = data.collate.at(epoch)([painted])
            # The place of an image of even size is half a pixel off its centre: that of a pixel.
            shown = batch['image']['dem'].mean().item()
            assert batch['metadata']['dem'][0, axis].item() == pytest.approx(
                shown, abs=abs(transform.e)
            )
        widths.append(width / height)
    assert max(widths) > 1.5


@pytest.mark.parametrize('steps', [1, 2, 3])
def test_a_stopped_run_goes_on_with_the_very_next_batch(
    root: Path, tmp_path: Path, steps: int
) -> None:
    whole, first, second = Recorder(), Recorder(steps), Recorder()
    trainer(tmp_path, max_epochs=2).fit(whole, datamodule=module(root))
    assert len(whole.seen) == 4
    trainer(tmp_path, max_epochs=2).fit(first, datamodule=module(root))
    trainer(tmp_path, max_epochs=2).fit(
        second, datamodule=module(root), ckpt_path=tmp_path / 'here.ckpt'
    )
    assert same_batches([*first.seen, *second.seen], whole.seen)
