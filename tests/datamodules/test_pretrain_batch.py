"""Batches of cells that have other modalities and other numbers of images."""

from dataclasses import replace

import pytest
import torch

from tests.datamodules.pretrain_fakes import SMALL_PX, fake_sample, same_batches
from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_batch import PretrainCollate
from torchgeo_copernicus.datamodules.pretrain_crop import RandomCrop
from torchgeo_copernicus.datamodules.pretrain_statistics import pretrain_inputs
from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName

NO_CROP = RandomCrop(scale=None, flip='none')


def collate(
    *names: ModalityName, crop: RandomCrop | None = None, **options: object
) -> PretrainCollate:
    chosen = names or MODALITY_NAMES
    given = {name: {name[4:].upper(): [100, 1]} for name in chosen if name.startswith('s5p_')}
    inputs = pretrain_inputs(chosen, given, sizes_px={name: SMALL_PX[name] for name in chosen})
    return PretrainCollate(inputs, crop or RandomCrop(), **options)  # type: ignore[arg-type]


def test_a_batch_holds_the_images_of_the_cells_that_have_them() -> None:
    samples = [
        fake_sample(7, ['s1_grd', 's2_toa', 'dem']),
        fake_sample(3, ['s5p_no2']),
        fake_sample(9, ['s2_toa', 's5p_no2']),
    ]
    batch = collate()(samples)
    assert batch['grid_id'].tolist() == [7, 3, 9]
    assert {name: image.shape for name, image in batch['image'].items()} == {
        's1_grd': (1, 2, 16, 16),
        's2_toa': (2, 13, 16, 16),
        's5p_no2': (2, 1, 4, 4),
        'dem': (1, 1, 64, 64),
    }
    assert all(image.dtype == torch.float32 for image in batch['image'].values())
    assert {name: rows.tolist() for name, rows in batch['rows'].items()} == {
        's1_grd': [0],
        's2_toa': [0, 2],
        's5p_no2': [1, 2],
        'dem': [0],
    }
    assert batch['metadata'].keys() == batch['image'].keys()
    assert list(batch['present']) == list(MODALITY_NAMES)
    assert batch['present']['s2_toa'].tolist() == [True, False, True]
    assert batch['present']['s3_olci'].tolist() == [False] * 3
    assert batch['present']['s3_olci'].dtype == torch.bool
    assert {name: ids.tolist() for name, ids in batch['local_id'].items()} == {
        's1_grd': [7000],
        's2_toa': [7000, 9000],
    }


def test_grids_without_a_modality_are_not_thrown_away() -> None:
    # The official loaders keep only cells with all eight.
    samples = [fake_sample(n, [name]) for n, name in enumerate(MODALITY_NAMES)]
    batch = collate()(samples)
    assert sorted(int(r) for rows in batch['rows'].values() for r in rows) == list(range(8))
    assert torch.stack(list(batch['present'].values())).sum() == 8


def test_a_cell_without_any_image_contributes_nothing() -> None:
    empty: Sample = {'grid_id': 4, 'image': {}, 'metadata': {}, 'local_id': {}}
    batch = collate()([empty])
    assert batch['image'] == batch['metadata'] == batch['rows'] == {}
    assert not any(bool(there.any()) for there in batch['present'].values())


@pytest.mark.parametrize('as_list', [True, False])
@pytest.mark.parametrize('co_registered', [True, False])
def test_all_images_of_a_cell_are_taken_each_with_its_row(
    as_list: bool, co_registered: bool
) -> None:
    samples = [fake_sample(n, ['s2_toa', 'dem'], images=n, as_list=as_list) for n in (2, 3)]
    batch = collate('s2_toa', 'dem', co_registered=co_registered, crop=NO_CROP)(samples)
    assert batch['image']['s2_toa'].shape == (5, 13, 16, 16)
    assert batch['rows']['s2_toa'].tolist() == [0, 0, 1, 1, 1]
    assert batch['metadata']['s2_toa'][:, 2].tolist() == [18_000, 18_001, 18_000, 18_001, 18_002]
    assert batch['local_id']['s2_toa'].tolist() == [2000, 2000, 3000, 3000, 3001]
    assert batch['present']['s2_toa'].tolist() == [True, True]


def test_both_formats_give_the_same_batch() -> None:
    samples = [fake_sample(1, ['s2_toa'], images=2)]
    listed = [{**samples[0], 'image': {'s2_toa': list(samples[0]['image']['s2_toa'])}}]
    assert same_batches([collate('s2_toa')(samples)], [collate('s2_toa')(listed)])


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    names: tuple[ModalityName, ...] = ('s1_grd', 's2_toa', 's5p_co', 's5p_no2')
    samples = [fake_sample(n, names, images=2) for n in range(4)]
    spoiled = fake_sample(1, names, images=2)
    for name in names:
        spoiled['image'][name].fill_(torch.nan)
        spoiled['metadata'][name].fill_(torch.nan)
    for co_registered in (False, True):
        if co_registered:
            spoiled = fake_sample(1, names[:1], images=1)
        make = collate(*names, co_registered=co_registered)
        alone, among = make([samples[2]]), make([samples[3], samples[2], spoiled])
        for name in names:
            mine = among['rows'][name] == 1
            assert torch.equal(among['image'][name][mine], alone['image'][name])
            assert torch.equal(among['metadata'][name][mine], alone['metadata'][name])


def test_one_missing_coordinate_does_not_drop_the_metadata_of_the_batch() -> None:
    # Upstream drops the metadata of a whole batch for one NaN.
    samples = [fake_sample(n, ['s3_olci']) for n in range(3)]
    samples[1]['metadata']['s3_olci'][0] = torch.nan
    found = collate('s3_olci')(samples)['metadata']['s3_olci'].isnan()
    assert found.tolist() == [[False] * 4, [True, False, False, False], [False] * 4]


def test_one_seed_gives_one_batch_and_each_epoch_another() -> None:
    samples = [fake_sample(n, ['s2_toa', 's3_olci']) for n in range(3)]
    first = collate('s2_toa', 's3_olci')(samples)
    torch.manual_seed(5)
    assert same_batches([first], [collate('s2_toa', 's3_olci')(samples)])
    for other in (
        collate('s2_toa', 's3_olci').at(1),
        collate('s2_toa', 's3_olci', seed=1),
        collate('s2_toa', 's3_olci', crop=RandomCrop(scale=(0.2, 0.3))),
    ):
        image = other(samples)['image']
        assert not torch.equal(image['s2_toa'], first['image']['s2_toa'])
        assert not torch.equal(image['s3_olci'], first['image']['s3_olci'])


def ramp(
    name: ModalityName, channels: int, side: int, gsd_m: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image whose values are metres to the east of its centre, and its metadata."""
    east = (torch.arange(side) + 0.5 - side / 2) * gsd_m
    return east.expand(channels, side, side).clone(), torch.tensor([12.0, 0.0, 1.0, gsd_m])


def paired(sides: tuple[int, int], gsds: tuple[float, float]) -> Sample:
    sample: Sample = {'grid_id': 5, 'image': {}, 'metadata': {}, 'local_id': {}}
    names: tuple[ModalityName, ModalityName] = ('s1_grd', 's2_toa')
    for name, channels, side, gsd_m in zip(names, (2, 13), sides, gsds, strict=True):
        sample['image'][name], sample['metadata'][name] = ramp(name, channels, side, gsd_m)
        sample['local_id'][name] = 77
    return sample


def plain(make: PretrainCollate) -> PretrainCollate:
    """Return the same with images in their own units."""
    inputs = {
        name: replace(
            one,
            statistics=replace(
                one.statistics,
                mean=dict.fromkeys(one.statistics.mean, 0.0),
                std=dict.fromkeys(one.statistics.std, 1.0),
            ),
        )
        for name, one in make.inputs.items()
    }
    return replace(make, inputs=inputs)


def test_co_registered_images_show_the_same_ground() -> None:
    sample = paired((200, 100), (10.0, 20.0))
    together, apart = [], []
    for seed in range(10):
        for co_registered, gaps in ((True, together), (False, apart)):
            make = plain(collate('s1_grd', 's2_toa', co_registered=co_registered, seed=seed))
            image = make([sample])['image']
            gaps.append(float((image['s1_grd'][:, 0] - image['s2_toa'][:, 0]).abs().max()))
    # Half a pixel of each, at either edge; values come mirrored together or not at all.
    assert max(together) <= 25
    assert max(apart) > 200


def test_metadata_tells_what_the_pixels_show() -> None:
    make = plain(collate('s1_grd', 's2_toa'))
    for seed in range(5):
        batch = replace(make, seed=seed)([paired((200, 100), (10.0, 20.0))])
        for name in ('s1_grd', 's2_toa'):
            middle = batch['image'][name].mean().item()
            moved = (batch['metadata'][name][0, 0].item() - 12.0) * 111_319.49
            assert moved == pytest.approx(middle, abs=0.5)
            # The mean step between columns is the sampling distance, but for the shape of the window.
            step = batch['image'][name][0, 0, 0].diff().abs().mean().item()
            assert step == pytest.approx(batch['metadata'][name][0, 3].item(), rel=0.2)


def test_dates_of_a_place_share_a_window_if_asked() -> None:
    images, rows = zip(*(ramp('s3_olci', 21, 96, 300.0) for _ in range(3)), strict=True)
    sample: Sample = {
        'grid_id': 1,
        'image': {'s3_olci': torch.stack(images)},
        'metadata': {'s3_olci': torch.stack(rows)},
        'local_id': {},
    }
    shared = collate('s3_olci', co_registered=True)([sample])['image']['s3_olci']
    assert torch.equal(shared[0], shared[1])
    assert torch.equal(shared[0], shared[2])
    own = collate('s3_olci')([sample])['image']['s3_olci']
    assert not torch.equal(own[0], own[1])


def test_gases_of_a_cell_share_a_window_and_other_modalities_do_not() -> None:
    sample: Sample = {'grid_id': 1, 'image': {}, 'metadata': {}, 'local_id': {}}
    for name in ('s5p_co', 's5p_so2', 'dem'):
        sample['image'][name], sample['metadata'][name] = ramp(name, 1, 64, 1000.0)
    make = plain(collate('s5p_co', 's5p_so2', 'dem', co_registered=True))
    batch = make([sample])
    assert torch.equal(batch['image']['s5p_co'], batch['image']['s5p_so2'])
    assert torch.equal(batch['metadata']['s5p_co'], batch['metadata']['s5p_so2'])
    assert not torch.equal(batch['metadata']['s5p_co'], batch['metadata']['dem'])


def test_flips_reverse_pixels_and_keep_the_place() -> None:
    sample = fake_sample(2, ['s2_toa'], size_px=16)
    image = collate('s2_toa', crop=NO_CROP)([sample])['image']['s2_toa'][0]
    found = set()
    for seed in range(24):
        crop = RandomCrop(scale=None, flip='both')
        batch = collate('s2_toa', crop=crop, seed=seed)([sample])
        assert torch.equal(batch['metadata']['s2_toa'][0], sample['metadata']['s2_toa'])
        for axes in ([], [1], [2], [1, 2]):
            if torch.equal(batch['image']['s2_toa'][0], image.flip(axes)):
                found.add(tuple(axes))
    assert found == {(), (1,), (2,), (1, 2)}


def test_missing_pixels_become_the_mean_or_stay_nan() -> None:
    sample = fake_sample(1, ['s1_grd'], size_px=16)
    sample['image']['s1_grd'][0, 0, 0] = torch.nan
    sample['image']['s1_grd'][1, 0, 0] = -torch.inf
    found = {
        fill: collate('s1_grd', crop=NO_CROP, fill=fill)([sample])['image']['s1_grd'][0, :, 0, 0]
        for fill in (0.0, -3.0, None)
    }
    assert found[0.0].tolist() == [0, 0]
    assert found[-3.0].tolist() == [-3, -3]
    assert found[None].isnan().all()


def _with(**changes: object) -> Sample:
    return {**fake_sample(8, ['s2_toa'], images=2), **changes}


@pytest.mark.parametrize(
    ('sample', 'words'),
    [
        (fake_sample(8, ['dem']), r"A sample has \['dem'\]"),
        (_with(image={'s2_toa': torch.zeros(2, 12, 9, 9)}), r'cell 8, s2_toa: .*\[13, H, W\]'),
        (_with(image={'s2_toa': torch.zeros(13, 9)}), r'wanted \[13, H, W\]'),
        (_with(image={'s2_toa': ['x']}), 'an image is str'),
        (_with(image={'s2_toa': torch.zeros(2, 13, 9, 9).short()}), 'wanted float32'),
        (_with(image={'s2_toa': torch.zeros(2, 13, 0, 9)}), 'wanted float32'),
        ({'grid_id': 8}, r"has \['grid_id'\], but lacks \['image'\]"),
        (_with(metadata={}), 'has an image, but no metadata'),
        (_with(local_id={}), 'has an image, but no local_id'),
        (_with(metadata={'s2_toa': torch.zeros(3, 4)}), '2 images, 3 rows of metadata, 2 local'),
        (_with(metadata={'s2_toa': torch.zeros(2, 3)}), r'metadata is \[2, 3\]'),
        (_with(local_id={'s2_toa': torch.zeros(1)}), '2 images, 2 rows of metadata, 1 local'),
    ],
)
def test_samples_that_are_not_as_agreed_are_named(sample: Sample, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        collate('s2_toa')([sample])


def test_metadata_of_another_number_is_named_for_cells_too() -> None:
    sample = fake_sample(8, ['dem'])
    sample['metadata']['dem'] = torch.zeros(2, 4)
    with pytest.raises(ValueError, match='1 images, 2 rows of metadata; wanted one for each'):
        collate('dem')([sample])


def test_a_shared_window_needs_the_sampling_distance() -> None:
    sample = fake_sample(8, ['s2_toa'])
    sample['metadata']['s2_toa'][3] = torch.nan
    with pytest.raises(ValueError, match='no window can be shared'):
        collate('s2_toa', co_registered=True)([sample])


@pytest.mark.parametrize(
    ('options', 'words'),
    [({'fill': float('nan')}, 'fill is nan'), ({'co_registered': True}, 'single')],
)
def test_impossible_arguments_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        collate('dem', **options)  # type: ignore[arg-type]
