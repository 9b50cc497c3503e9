"""SSL4EO-S12 v1.0: the right places, dates in the order of time, modalities paired, draws that repeat."""

from __future__ import annotations

import copy
import pickle
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch.utils.data import DataLoader
from torchgeo.datasets import SSL4EOS12 as TorchGeoSSL4EOS12
from torchgeo.datasets import DatasetNotFoundError, RGBBandsMissingError

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS, SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.place import folder_name
from torchgeo_copernicus.datasets.ssl4eo.v10.void_ids import LAST_ID, VOID_IDS, released_ids

SIZE = 36
THREE: Any = ('S1GRD', 'S2L1C', 'S2L2A')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three places of 36 px, never damaged."""
    return make_ssl4eo_v10(tmp_path_factory.mktemp('v10'), 3, 0, SIZE)


@pytest.fixture
def copy_root(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / 'copy')


def days(metadata: torch.Tensor) -> list[float]:
    return metadata[..., 2].tolist()


def remove_scene(root: Path, modality: str, place_id: int) -> None:
    folders = sorted((root / FOLDERS[modality] / folder_name(place_id)).iterdir())  # type: ignore[index]
    shutil.rmtree(folders[0])


def test_there_are_251079_places_and_97_gaps() -> None:
    ids = released_ids()
    assert len(ids) == 251_079
    assert len(set(VOID_IDS)) == 97
    assert (ids[0], ids[-1]) == (0, LAST_ID) == (0, 251_175)
    assert (min(VOID_IDS), max(VOID_IDS)) == (124_990, 179_723)
    assert not set(ids) & set(VOID_IDS)


def test_the_last_places_are_read_which_torchgeo_never_reaches(root: Path) -> None:
    dataset = SSL4EOS12v10(root)
    assert dataset.ids[-1] == LAST_ID
    assert dataset[-1]['sample_id'] == '0251175'
    assert dataset[2]['sample_id'] == '0251175'
    # Its indices are taken for numbers of places.
    assert TorchGeoSSL4EOS12.__len__(None) == 251_079 < LAST_ID  # type: ignore[arg-type]


def test_an_index_past_the_end_is_an_index_error_so_that_loops_end(root: Path) -> None:
    dataset = SSL4EOS12v10(root, bands=['B02'])
    assert len(dataset) == 3
    for index in (3, -4):
        with pytest.raises(IndexError):
            dataset[index]
    assert len([sample for sample in dataset]) == 3  # type: ignore[attr-defined]


def test_dates_are_in_the_order_of_time_not_of_names(root: Path) -> None:
    dataset = SSL4EOS12v10(root, ['S1GRD'])
    for index in range(len(dataset)):
        sample = dataset[index]
        assert days(sample['metadata']) == sorted(days(sample['metadata']))
        stamps = [name[17:32] for name in sample['file_id']]
        assert stamps == sorted(stamps)
        # The look-alike has both satellites, whose names sort otherwise.
        assert sample['file_id'] != sorted(sample['file_id'])


def test_the_listing_order_of_the_disk_does_not_matter(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    wanted = SSL4EOS12v10(root, ['S1GRD'])
    original = os.scandir

    class Backwards:
        def __init__(self, path: Any) -> None:
            with original(path) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self) -> Iterator[Any]:
            return iter(self.entries)

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(os, 'scandir', Backwards)
    found = SSL4EOS12v10(root, ['S1GRD'])
    assert found.ids.tolist() == wanted.ids.tolist()
    assert found[0]['file_id'] == wanted[0]['file_id']
    assert torch.equal(found[0]['image'], wanted[0]['image'])


def test_modalities_of_a_sample_are_of_one_place_and_season(root: Path) -> None:
    dataset = SSL4EOS12v10(root, THREE)
    for index in range(len(dataset)):
        sample = dataset[index]
        assert list(sample['image']) == list(THREE)
        for modality in THREE:
            assert sample['image'][modality].shape == (4, len(MODALITY_BANDS[modality]), SIZE, SIZE)
            assert sample['image'][modality].dtype == torch.float32
            place = Path(sample['filename'][modality][0]).parent.name
            assert place == sample['sample_id'] == folder_name(int(dataset.ids[index]))
        first = sample['metadata']['S2L1C']
        for modality in THREE:
            metadata = sample['metadata'][modality]
            assert metadata.dtype == torch.float32
            assert torch.allclose(metadata[:, :2], first[:, :2], atol=1e-3)
            assert (metadata[:, 3] == 10).all()
            assert ((metadata[:, 2] - first[:, 2]).abs() <= 30).all()


def test_one_modality_gives_plain_tensors(root: Path) -> None:
    sample = SSL4EOS12v10(root)[0]
    assert sample['image'].shape == (4, 13, SIZE, SIZE)
    assert sample['metadata'].shape == (4, 4)
    assert len(sample['filename']) == len(sample['file_id']) == 4


def test_each_date_is_an_item_of_its_own(root: Path) -> None:
    whole = SSL4EOS12v10(root, THREE)
    dataset = SSL4EOS12v10(root, THREE, 'each')
    assert len(dataset) == 12
    for index in range(12):
        sample, place = dataset[index], whole[index // 4]
        assert sample['sample_id'] == f'{place["sample_id"]}_{index % 4}'
        for modality in THREE:
            assert torch.equal(sample['image'][modality], place['image'][modality][index % 4])
            assert torch.equal(sample['metadata'][modality], place['metadata'][modality][index % 4])
            assert sample['file_id'][modality] == place['file_id'][modality][index % 4]


def test_seasons_are_positions_in_time(root: Path) -> None:
    whole = SSL4EOS12v10(root)[0]
    some = SSL4EOS12v10(root, seasons=[3, 1])[0]
    assert torch.equal(some['image'], whole['image'][[3, 1]])
    each = SSL4EOS12v10(root, dates='each', seasons=[3, 1])
    assert len(each) == 6
    assert torch.equal(each[1]['image'], whole['image'][1])
    assert each[1]['sample_id'].endswith('_1')
    drawn_from = SSL4EOS12v10(root, dates='random', seasons=[3, 1], bands=['B02'])
    found = set()
    for epoch in range(20):
        drawn_from.set_epoch(epoch)
        found.add(drawn_from[0]['sample_id'][-1])
    assert found == {'1', '3'}


def chosen(dataset: SSL4EOS12v10) -> list[str]:
    return [dataset[index]['sample_id'] for index in range(len(dataset))]


def test_random_dates_depend_on_seed_epoch_and_place_alone(root: Path) -> None:
    dataset = SSL4EOS12v10(root, dates='random', bands=['B02'])
    assert dataset[0]['image'].shape == (1, SIZE, SIZE)
    assert dataset[0]['metadata'].shape == (4,)
    random.seed(0)
    torch.manual_seed(0)
    first = chosen(dataset)
    assert chosen(dataset) == first
    assert chosen(SSL4EOS12v10(root, dates='random', bands=['B02'])) == first
    # Not on which other places are read.
    alone = SSL4EOS12v10(root, dates='random', bands=['B02'], ids=[LAST_ID])
    assert chosen(alone) == first[2:]
    seeds = [
        chosen(SSL4EOS12v10(root, dates='random', bands=['B02'], seed=seed)) for seed in range(5)
    ]
    assert len({tuple(names) for names in seeds}) > 1
    epochs = []
    for epoch in range(12):
        dataset.set_epoch(epoch)
        epochs.append(tuple(chosen(dataset)))
    assert len(set(epochs)) > 4
    assert {names[0][-1] for names in epochs} == set('0123')
    dataset.set_epoch(0)
    assert chosen(dataset) == first


def test_random_dates_pair_the_modalities(root: Path) -> None:
    dataset = SSL4EOS12v10(root, THREE, 'random')
    whole = SSL4EOS12v10(root, THREE)
    for index in range(3):
        sample = dataset[index]
        position = int(sample['sample_id'][-1])
        for modality in THREE:
            wanted = whole[index]['image'][modality][position]
            assert torch.equal(sample['image'][modality], wanted)


def test_a_new_epoch_reaches_loader_processes_that_run_already(root: Path) -> None:
    dataset = SSL4EOS12v10(root, dates='random', bands=['B02'])
    loader = DataLoader(dataset, num_workers=1, persistent_workers=True)
    seen = []
    for epoch in (0, 1, 2, 3):
        dataset.set_epoch(epoch)
        seen.append([batch['sample_id'][0] for batch in loader])
        assert seen[-1] == chosen(dataset)
    assert len({tuple(names) for names in seen}) > 1


def test_draws_never_change() -> None:
    # A later version must draw the same dates and the same validation places.
    assert drawn(0, 1, 2) == 0x10BFA50BDF56A465
    assert drawn(0, 1, 2) != drawn(0, 12)
    assert drawn(0, -1) != drawn(0, 1)
    shares = np.array([drawn(7, index) / 2**64 for index in range(4000)])
    assert np.histogram(shares, 4, (0, 1))[0] == pytest.approx(1000, abs=120)


def test_bands_come_by_name_in_the_order_asked_for(root: Path) -> None:
    whole = SSL4EOS12v10(root, THREE)[0]['image']
    some = SSL4EOS12v10(root, THREE, bands={'S2L1C': ['NIR_NARROW', 'B1', 'RED'], 'S1GRD': ['VH']})
    assert some.bands == {
        'S1GRD': ('VH',),
        'S2L1C': ('B8A', 'B01', 'B04'),
        'S2L2A': MODALITY_BANDS['S2L2A'],
    }
    image = some[0]['image']
    assert torch.equal(image['S2L1C'], whole['S2L1C'][:, [8, 0, 3]])
    assert torch.equal(image['S1GRD'], whole['S1GRD'][:, [1]])
    assert torch.equal(image['S2L2A'], whole['S2L2A'])


def test_ids_choose_and_order_the_places(root: Path, tmp_path: Path) -> None:
    ids = SSL4EOS12v10(root).ids.tolist()
    wanted = [ids[2], ids[0]]
    file = tmp_path / 'ids.csv'
    file.write_text(f'{wanted[0]}\n\n{wanted[1]:07d}\n')
    for given in (wanted, np.array(wanted), file, str(file)):
        dataset = SSL4EOS12v10(root, ids=given)  # type: ignore[arg-type]
        assert dataset.ids.tolist() == wanted
        assert dataset[0]['sample_id'] == folder_name(wanted[0])


def test_repeated_ids_are_read_once_and_it_is_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = SSL4EOS12v10(root, ids=[LAST_ID, LAST_ID])
    assert len(dataset) == 1
    assert '1 repetitions' in caplog.text


@pytest.mark.parametrize(
    ('ids', 'message'),
    [
        ([124_990], '124990.*never released'),
        ([251_176], '251176.*0 to 251175'),
        ([-1], '-1'),
        ([], 'no place'),
        ([1.5], r'ids\[0\] is 1.5'),
        ([True], 'True'),
        (['a'], "'a'"),
        ([7], '0000007 without S2L1C'),
        ('nowhere.csv', 'nowhere.csv'),
    ],
)
def test_a_wrong_id_is_named(root: Path, ids: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SSL4EOS12v10(root, ids=ids)


def test_a_line_of_a_list_that_is_no_number_is_named(root: Path, tmp_path: Path) -> None:
    file = tmp_path / 'ids.csv'
    file.write_text('idx\n12\n')
    with pytest.raises(ValueError, match=r"ids.csv, line 1 is 'idx'"):
        SSL4EOS12v10(root, ids=file)
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='cannot be read'):
        SSL4EOS12v10(root, ids=file)


def test_a_place_without_one_modality_is_named_not_dropped(
    copy_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = SSL4EOS12v10(copy_root).ids.tolist()
    shutil.rmtree(copy_root / 's1' / folder_name(ids[1]))
    for incomplete in ('raise', 'keep'):
        with pytest.raises(ValueError, match=f'{folder_name(ids[1])} without S1GRD'):
            SSL4EOS12v10(copy_root, THREE, incomplete=incomplete)  # type: ignore[arg-type]
    # A modality that is not asked for does not matter.
    assert len(SSL4EOS12v10(copy_root, ['S2L1C'])) == 3
    dataset = SSL4EOS12v10(copy_root, THREE, incomplete='skip')
    assert dataset.ids.tolist() == [ids[0], ids[2]]
    assert '1 of 3 places' in caplog.text
    # Also when it is the first modality that lacks it.
    with pytest.raises(ValueError, match='lack a modality'):
        SSL4EOS12v10(copy_root, ['S1GRD', 'S2L1C'])


def test_a_place_with_three_dates_is_named_skipped_or_kept(copy_root: Path) -> None:
    ids = SSL4EOS12v10(copy_root).ids.tolist()
    remove_scene(copy_root, 'S2L1C', ids[1])
    for dates in ('all', 'random', 'each'):
        dataset = SSL4EOS12v10(copy_root, dates=dates)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=f'{folder_name(ids[1])} holds 3 dates'):
            dataset[1 if dates != 'each' else 4]
    assert SSL4EOS12v10(copy_root, incomplete='skip').ids.tolist() == [ids[0], ids[2]]
    assert len(SSL4EOS12v10(copy_root, dates='each', incomplete='skip')) == 8
    kept = SSL4EOS12v10(copy_root, incomplete='keep')
    assert [len(kept[index]['image']) for index in range(3)] == [4, 3, 4]
    each = SSL4EOS12v10(copy_root, dates='each', incomplete='keep', bands=['B02'])
    assert len(each) == 11
    assert chosen(each)[3:8] == [
        f'{folder_name(ids[row])}_{k}' for row, k in [(0, 3), (1, 0), (1, 1), (1, 2), (2, 0)]
    ]


def test_unequal_dates_are_never_paired_by_position(copy_root: Path) -> None:
    ids = SSL4EOS12v10(copy_root).ids.tolist()
    remove_scene(copy_root, 'S1GRD', ids[0])
    sample = SSL4EOS12v10(copy_root, THREE, incomplete='keep')[0]
    assert [len(sample['image'][modality]) for modality in THREE] == [3, 4, 4]
    with pytest.raises(ValueError, match='unequal numbers of dates'):
        SSL4EOS12v10(copy_root, THREE, 'each', incomplete='keep')
    with pytest.raises(ValueError, match='unequal numbers of dates'):
        SSL4EOS12v10(copy_root, THREE, 'random', incomplete='keep')[0]


def test_nothing_complete_is_an_error(copy_root: Path) -> None:
    for place_id in SSL4EOS12v10(copy_root).ids.tolist():
        remove_scene(copy_root, 'S2L1C', place_id)
    with pytest.raises(ValueError, match='All 3 places'):
        SSL4EOS12v10(copy_root, incomplete='skip')
    with pytest.raises(ValueError, match='holds 3 dates'):
        SSL4EOS12v10(copy_root)
    for folder in (copy_root / 's2c').iterdir():
        shutil.rmtree(folder)
    with pytest.raises(ValueError, match='holds no place'):
        SSL4EOS12v10(copy_root)


def test_other_files_and_folders_do_no_harm(copy_root: Path) -> None:
    (copy_root / 's2c' / '.DS_Store').write_text('x')
    (copy_root / 's2c' / 'notes').mkdir()
    place = copy_root / 's2c' / folder_name(LAST_ID)
    (place / '.thumbnails').mkdir()
    (place / 'README.txt').write_text('x')
    assert SSL4EOS12v10(copy_root, bands=['B02'])[-1]['image'].shape == (4, 1, SIZE, SIZE)


def test_names_that_cannot_be_understood_are_named(copy_root: Path) -> None:
    odd = copy_root / 's2c' / folder_name(LAST_ID) / '20211399T000000_20211399T000000_T32TPP'
    odd.mkdir()
    with pytest.raises(ValueError, match=r'20211399T000000.*no time of acquisition'):
        SSL4EOS12v10(copy_root)[-1]
    odd.rename(copy_root / 's2c' / '012345')
    with pytest.raises(ValueError, match=r'012345.*7 digits'):
        SSL4EOS12v10(copy_root)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'dates': 'seasonal'}, "dates 'seasonal'.*all.*random.*each"),
        ({'variant': '16bit'}, "variant '16bit'"),
        ({'resampling': 'cubic'}, "resampling 'cubic'"),
        ({'nodata': 'zero'}, "nodata 'zero'"),
        ({'incomplete': 'drop'}, "incomplete 'drop'"),
        ({'modalities': 's2c'}, "'s2c'.*S2L1C"),
        ({'modalities': ['s2c']}, 's2c.*S2L1C'),
        ({'modalities': []}, r'\[\]'),
        ({'modalities': ['S2L1C', 'S2L1C']}, 'each once'),
        ({'modalities': ['S2RGB']}, "variant='raw'"),
        ({'bands': ['B99']}, 'B99'),
        ({'bands': 'B02'}, "single string 'B02'"),
        ({'bands': []}, 'bands is empty'),
        ({'bands': ['B02', 'BLUE']}, 'twice'),
        ({'bands': {'S1GRD': ['VV']}}, 'S1GRD'),
        ({'modalities': ['S2L2A'], 'bands': ['B10']}, "S2L2A has no band .'B10'"),
        ({'modalities': ['S1GRD', 'S2L1C'], 'bands': ['VV']}, 'give a dict'),
        ({'seasons': 2}, 'seasons is 2'),
        ({'seasons': [4]}, r'\[4\]'),
        ({'seasons': [0, 0]}, 'each once'),
        ({'seasons': []}, r'\[\]'),
        ({'seasons': [0], 'incomplete': 'keep'}, 'one of the two'),
        ({'seed': -1}, 'seed.*-1'),
        ({'seed': 1.5}, 'seed.*1.5'),
        ({'seed': True}, 'seed.*True'),
        ({'decode': False}, '8-bit'),
        ({'variant': '8bit', 'nodata': 'stored'}, "variant='raw'"),
        ({'variant': '8bit', 'download': True}, 'cannot be downloaded'),
        ({'folders': {'S1GRD': 'radar'}}, 'S1GRD'),
    ],
)
def test_a_wrong_argument_is_named(root: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SSL4EOS12v10(root, **arguments)


def test_a_wrong_epoch_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match='epoch'):
        SSL4EOS12v10(root, dates='random').set_epoch(-1)


def test_data_that_is_not_there_says_so(tmp_path: Path, copy_root: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        SSL4EOS12v10(tmp_path)
    (copy_root / 's1').rename(copy_root / 'radar')
    with pytest.raises(DatasetNotFoundError):
        SSL4EOS12v10(copy_root, ['S1GRD'])
    with pytest.raises(DatasetNotFoundError):
        SSL4EOS12v10(copy_root, ['S1GRD'], folders={'S1GRD': 'elsewhere'}, download=True)
    assert len(SSL4EOS12v10(copy_root, THREE, folders={'S1GRD': 'radar'})) == 3


def test_a_part_of_the_places_keeps_its_items(root: Path) -> None:
    dataset = SSL4EOS12v10(root, dates='each', bands=['B02'])
    ids = dataset.ids.tolist()
    part = dataset.restricted_to([ids[2], ids[1]])
    assert chosen(part) == chosen(dataset)[8:] + chosen(dataset)[4:8]
    assert len(dataset) == 12
    for wrong in ([], [5]):
        with pytest.raises(ValueError, match=r'empty|not in this dataset'):
            dataset.restricted_to(wrong)


def test_epochs_of_a_part_are_its_own(root: Path) -> None:
    dataset = SSL4EOS12v10(root, dates='random', bands=['B02'])
    part = dataset.restricted_to(dataset.ids.tolist())
    before = chosen(part)
    for epoch in range(8):
        dataset.set_epoch(epoch)
        assert chosen(part) == before


def test_transforms_get_the_sample(root: Path) -> None:
    def mark(sample: Sample) -> Sample:
        return {**sample, 'marked': True}

    assert SSL4EOS12v10(root, bands=['B02'], transforms=mark)[0]['marked']


def test_it_can_be_pickled_and_copied(root: Path) -> None:
    dataset = SSL4EOS12v10(root, dates='random', bands=['B02'])
    dataset.set_epoch(3)
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert chosen(other) == chosen(dataset)


@pytest.mark.parametrize('dates', ['all', 'random'])
def test_a_picture_has_a_row_for_each_modality_and_a_column_for_each_date(
    root: Path, dates: Any
) -> None:
    dataset = SSL4EOS12v10(root, THREE, dates)
    figure = dataset.plot(dataset[0])
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == (12 if dates == 'all' else 3)
    assert all(title.startswith('20') for title in titles)
    assert dataset[0]['sample_id'][:7] in figure.get_suptitle()
    plain = dataset.plot(dataset[0], show_titles=False, suptitle='mine')
    assert plain.get_suptitle() == 'mine'
    assert not any(axis.get_title() for axis in plain.axes)
    assert plt.get_fignums() == []


def test_pictures_of_what_is_missing(copy_root: Path) -> None:
    ids = SSL4EOS12v10(copy_root).ids.tolist()
    remove_scene(copy_root, 'S2L1C', ids[0])
    dataset = SSL4EOS12v10(
        copy_root, ['S1GRD', 'S2L1C'], bands={'S1GRD': ['VH']}, incomplete='keep'
    )
    sample = dataset[0]
    sample['image']['S2L1C'][:, :, :9] = torch.nan
    sample.pop('metadata')
    figure = dataset.plot(sample)
    assert [bool(axis.images) for axis in figure.axes] == [True] * 7 + [False]
    shown = figure.axes[4].images[0].get_array()
    assert np.allclose(shown[:9], 217 / 255)
    assert not np.allclose(shown[9:], 217 / 255)
    with pytest.raises(RGBBandsMissingError):
        few = SSL4EOS12v10(copy_root, bands=['B02'], incomplete='keep')
        few.plot(few[0])
