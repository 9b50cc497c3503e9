"""Pictures of cells: dates as titles, what is missing marked, and no date of another image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.composite import MISSING
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.picture import draw_cell
from torchgeo_copernicus.datasets.pretrain.selection import Selection


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('pretrain'), 4, 0, 16)


def rows(figure: Figure) -> dict[str, list[str]]:
    """Return the titles of the panels of each row."""
    return {
        part.get_suptitle(): [axis.get_title() for axis in part.axes if axis.get_title()]
        for part in figure.subfigs
    }


def test_every_patch_has_a_row_with_its_dates_in_order(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root)
    sample = dataset[0]
    found = rows(dataset.plot(sample))
    days = np.datetime64('1970-01-01') + sample['metadata']['s2_toa'][:, 2].numpy().astype(int)
    for local_id in sample['local_id']['s2_toa'].unique().tolist():
        own = days[sample['local_id']['s2_toa'].numpy() == local_id]
        assert (
            found[f'Sentinel-2, natural colours, patch {local_id:07d}'] == own.astype(str).tolist()
        )
    assert len(found) == 2 + 2 + 6
    assert found['Copernicus DEM'] == ['no date']
    assert found['Sentinel-5P CO'][:2] == ['2021-01', '2021-02']


def test_a_missing_modality_is_marked_and_not_left_out(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, modalities=['s1_grd', 's3_olci'])
    figure = dataset.plot(dataset[3])
    assert figure.get_suptitle() == 'Copernicus-Pretrain, cell 0911281_120.25_68.00'
    assert dataset.plot(dataset[1], 'mine').get_suptitle() == 'mine'
    (part,) = [p for p in figure.subfigs if 'OLCI' in p.get_suptitle()]
    assert [text.get_text() for axis in part.axes for text in axis.texts] == ['missing']
    assert set(rows(figure)['Sentinel-3 OLCI, natural colours']) == set()
    FigureCanvasAgg(figure).draw()


def test_a_drawn_sample_has_one_panel_a_row(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, selection=Selection(patches=1, dates='random'))
    assert {len(titles) for titles in rows(dataset.plot(dataset[0])).values()} == {1}


def test_pixels_without_data_are_grey_and_dates_share_one_stretch(root: Path) -> None:
    dataset = CopernicusPretrainGeoTIFF(root, modalities=['s3_olci'])
    (part,) = dataset.plot(dataset[0]).subfigs
    second = np.asarray(part.axes[1].images[0].get_array())
    gaps = dataset[0]['image']['s3_olci'][1].isnan().any(0).numpy()
    assert gaps.any()
    assert np.allclose(second[gaps], to_rgb(MISSING))
    bright = torch.full((21, 4, 4), 100.0)
    sample: Sample = {
        'grid_id': 5,
        'image': {'s3_olci': [bright * torch.linspace(0.2, 1, 16).reshape(4, 4), bright / 100]},
        'metadata': {'s3_olci': torch.full((2, 4), torch.nan)},
        'local_id': {},
    }
    (part,) = draw_cell(sample, ['s3_olci']).subfigs
    dark = np.asarray(part.axes[1].images[0].get_array())
    assert dark.max() < 0.05
    assert np.ptp(np.asarray(part.axes[0].images[0].get_array())) > 0.2


def test_a_stack_from_a_shard_is_drawn_as_a_list_is(root: Path) -> None:
    sample = CopernicusPretrainGeoTIFF(root, modalities=['s5p_co'])[0]
    stacked = {**sample, 'image': {'s5p_co': torch.stack(sample['image']['s5p_co'])}}
    assert rows(draw_cell(stacked, ['s5p_co'])) == rows(draw_cell(sample, ['s5p_co']))
    with pytest.raises(ValueError, match='Unknown modalities'):
        draw_cell(sample, ['s4'])  # type: ignore[list-item]
