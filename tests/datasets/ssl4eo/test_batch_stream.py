"""Batches decoded by threads: the same samples as the dataset's, in an order that can be resumed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11, SSL4EOS12v11Stream
from torchgeo_copernicus.datasets.ssl4eo.scale import Scale, scale_of

BOTH = ('S2L2A', 'S1GRD')


def stream(root: Path, batch_size: int = 3, **options: object) -> SSL4EOS12v11Stream:
    names = ('modalities', 'dates', 'bands', 'season', 'keep_offset')
    dataset = SSL4EOS12v11(root, **{k: options.pop(k) for k in names if k in options})
    return SSL4EOS12v11Stream(dataset, batch_size, **options)


def ids(batches: object) -> list[int]:
    return [int(i) for batch in batches for i in batch['sample_id']]


@pytest.mark.parametrize('dates', ['all', 'each', 'random'])
def test_batches_hold_what_the_dataset_gives(v11_root: Path, dates: str) -> None:
    flow = stream(v11_root, modalities=BOTH, dates=dates, drop_last=False)
    dataset = SSL4EOS12v11(v11_root, modalities=BOTH, dates=dates)
    wanted = {}
    for i in range(len(dataset)):
        sample = dataset[i]
        day = tuple(np.ravel(sample['metadata']['S2L2A'][..., 2]).tolist())
        wanted[int(sample['sample_id']), day] = sample
    found = 0
    for batch in flow:
        for slot, place in enumerate(batch['sample_id'].tolist()):
            day = tuple(np.ravel(batch['metadata']['S2L2A'][slot][..., 2]).tolist())
            sample = wanted[place, day]
            for name in BOTH:
                assert torch.equal(batch['image'][name][slot], sample['image'][name])
                assert torch.allclose(batch['metadata'][name][slot], sample['metadata'][name])
            found += 1
    assert found == len(dataset)


def scales(root: Path, normalisation: str = 'standardise', **options: object) -> dict[str, Scale]:
    dataset = SSL4EOS12v11(root, **options)
    return {
        name: scale_of(name, dataset.bands[name], dataset.statistics[name], normalisation)
        for name in dataset.modalities
    }


@pytest.mark.parametrize('keep_offset', [False, True])
def test_images_are_standardised_with_the_statistics_of_the_edition(
    v11_root: Path, keep_offset: bool
) -> None:
    options = {'modalities': BOTH, 'keep_offset': keep_offset}
    plain = next(iter(stream(v11_root, shuffle=False, **options)))
    scaled = next(
        iter(stream(v11_root, scales=scales(v11_root, **options), shuffle=False, **options))
    )
    statistics = SSL4EOS12v11(v11_root, **options).statistics
    for name in BOTH:
        mean = torch.tensor(list(statistics[name].mean.values()))[:, None, None]
        std = torch.tensor(list(statistics[name].std.values()))[:, None, None]
        expected = (plain['image'][name] - mean) / std
        assert torch.allclose(scaled['image'][name], expected, atol=1e-4)
    # Radar in dB is of order one, not squashed by 10,000.
    assert 0.1 < float(scaled['image']['S1GRD'].std()) < 10


@pytest.mark.parametrize('keep_offset', [False, True])
def test_the_input_of_the_released_weights_has_no_offset(v11_root: Path, keep_offset: bool) -> None:
    options = {'modalities': ['S2L1C', 'S1GRD', 'S2RGB'], 'keep_offset': keep_offset}
    plain = next(iter(stream(v11_root, modalities=options['modalities'], shuffle=False)))
    used = scales(v11_root, 'pretraining', **options)
    scaled = next(iter(stream(v11_root, scales=used, shuffle=False, **options)))
    for name, expected in (
        ('S2L1C', plain['image']['S2L1C'] / 10_000),
        ('S2RGB', plain['image']['S2RGB'] / 255),
        (
            'S1GRD',
            0.5
            + (plain['image']['S1GRD'] - torch.tensor([-12.577, -20.265])[:, None, None])
            / torch.tensor([5.179, 5.872])[:, None, None]
            / 4,
        ),
    ):
        assert torch.allclose(scaled['image'][name], expected.clamp(0, 1), atol=1e-5)


def test_flips_are_drawn_for_each_sample_and_move_all_its_images(v11_root: Path) -> None:
    options = {'modalities': BOTH, 'shuffle': False, 'batch_size': 8}
    plain = next(iter(stream(v11_root, **options)))
    flipped = next(iter(stream(v11_root, flip=True, **options)))
    seen = set()
    for slot in range(8):
        for axes in ((), (-1,), (-2,), (-2, -1)):
            if torch.equal(
                plain['image']['S1GRD'][slot].flip(axes), flipped['image']['S1GRD'][slot]
            ):
                break
        else:
            pytest.fail('no flip explains the image')
        seen.add(axes)
        left = plain['image']['S2L2A'][slot].flip(axes)
        assert torch.equal(left, flipped['image']['S2L2A'][slot])
    assert len(seen) == 4
    assert torch.equal(plain['metadata']['S1GRD'], flipped['metadata']['S1GRD'])


@pytest.mark.parametrize(('dates', 'count'), [('all', 4), ('pair', 2), ('each', 1)])
def test_modalities_and_dates_become_channels(v11_root: Path, dates: str, count: int) -> None:
    options = {'modalities': BOTH, 'shuffle': False, 'dates': dates}
    apart = next(iter(stream(v11_root, **options)))
    joined = next(iter(stream(v11_root, concat=True, **options)))
    images = [apart['image'][name].reshape(3, count, -1, 48, 48) for name in BOTH]
    expected = torch.cat(images, dim=2).flatten(1, 2)
    assert joined['image'].shape == (3, count * 14, 48, 48)
    assert torch.equal(joined['image'], expected)
    assert torch.equal(joined['metadata'], apart['metadata']['S2L2A'])


def test_a_pair_has_two_different_dates(v11_root: Path) -> None:
    pairs = []
    flow = stream(v11_root, modalities='S2RGB', dates='pair', batch_size=8)
    for _ in range(6):
        for batch in flow:
            days = batch['metadata'][..., 2]
            assert (days[:, 0] != days[:, 1]).all()
            pairs += [tuple(pair) for pair in days.tolist()]
    # Both orders occur: which view is the first is chance.
    assert any(a < b for a, b in pairs)
    assert any(a > b for a, b in pairs)


def test_the_same_window_is_cut_from_all_modalities_and_dates(v11_root: Path) -> None:
    flow = stream(v11_root, modalities=BOTH, crop_size=20, shuffle=False)
    dataset = SSL4EOS12v11(v11_root, modalities=BOTH)
    corners = set()
    for number, batch in enumerate(flow):
        for slot in range(3):
            whole = dataset[3 * number + slot]
            found = [
                (y, x)
                for y in range(29)
                for x in range(29)
                if torch.equal(
                    whole['image']['S2L2A'][0, :, y : y + 20, x : x + 20],
                    batch['image']['S2L2A'][slot, 0],
                )
            ]
            assert len(found) == 1
            y, x = found[0]
            corners.add((y, x))
            for name in BOTH:
                cut = whole['image'][name][..., y : y + 20, x : x + 20]
                assert torch.equal(cut, batch['image'][name][slot])
            moved = batch['metadata']['S2L2A'][slot] - whole['metadata']['S2L2A']
            latitude = float(whole['metadata']['S2L2A'][0, 1])
            assert moved[0, 1] * 111_319 == pytest.approx(-(y + 10 - 24) * 10, abs=3)
            east = moved[0, 0] * 111_319 * np.cos(np.radians(latitude))
            assert east == pytest.approx((x + 10 - 24) * 10, abs=3)
    assert len(corners) > 3


def test_centre_crops_are_in_the_centre(v11_root: Path) -> None:
    options = {'modalities': 'S2RGB', 'shuffle': False}
    batch = next(iter(stream(v11_root, crop_size=20, random_crop=False, **options)))
    whole = SSL4EOS12v11(v11_root, modalities='S2RGB')[0]
    assert torch.equal(batch['image'][0], whole['image'][..., 14:34, 14:34])
    assert torch.equal(batch['metadata'][0], whole['metadata'])


def test_an_epoch_has_every_place_once(v11_root: Path) -> None:
    flow = stream(v11_root, modalities='S2RGB', drop_last=False)
    first, second = ids(flow), ids(flow)
    assert sorted(first) == sorted(second) == sorted(set(first))
    assert len(first) == 8
    assert first != second
    assert len(flow) == 3
    assert len(stream(v11_root, modalities='S2RGB')) == 2


def test_the_order_does_not_depend_on_threads(v11_root: Path) -> None:
    options = {'modalities': 'S2RGB', 'dates': 'random', 'crop_size': 20}
    one, four = (
        list(stream(v11_root, threads=n, prefetch=p, **options)) for n, p in ((1, 1), (4, 3))
    )
    for left, right in zip(one, four, strict=True):
        assert torch.equal(left['image'], right['image'])
        assert torch.equal(left['metadata'], right['metadata'])


def test_seed_changes_order_and_windows(v11_root: Path) -> None:
    options = {'modalities': 'S2RGB', 'crop_size': 20}
    a, b, c = (list(stream(v11_root, seed=seed, **options)) for seed in (0, 1, 0))
    assert ids(a) == ids(c) != ids(b)
    assert torch.equal(a[0]['image'], c[0]['image'])


@pytest.mark.parametrize('pool', [None, 1])
@pytest.mark.parametrize('remainder', ['drop', 'repeat'])
def test_ranks_share_an_epoch(v11_root: Path, pool: int | None, remainder: str) -> None:
    shares = [
        ids(
            stream(
                v11_root,
                batch_size=1,
                modalities='S2RGB',
                rank=rank,
                world_size=3,
                pool=pool,
                remainder=remainder,
            )
        )
        for rank in range(3)
    ]
    assert {len(share) for share in shares} == {2 if remainder == 'drop' else 3}
    assert len(set().union(*shares)) == (6 if remainder == 'drop' else 8)


@pytest.mark.parametrize('pool', [None, 1])
def test_a_resumed_stream_goes_on_with_the_very_next_batch(
    v11_root: Path, pool: int | None
) -> None:
    options = {'modalities': BOTH, 'dates': 'random', 'crop_size': 20, 'pool': pool}
    whole = stream(v11_root, batch_size=2, **options)
    expected = [*whole, *whole]
    first = stream(v11_root, batch_size=2, **options)
    running = iter(first)
    for _ in range(3):
        next(running)
    state = first.state_dict()
    running.close()
    second = stream(v11_root, batch_size=2, **options)
    second.load_state_dict(state)
    found = [*second, *second]
    assert len(found) == 5
    for left, right in zip(found, expected[3:], strict=True):
        for name in BOTH:
            assert torch.equal(left['image'][name], right['image'][name])
        assert torch.equal(left['sample_id'], right['sample_id'])


@pytest.mark.parametrize('drop_last', [True, False])
def test_a_state_from_the_last_batch_of_an_epoch_goes_on_with_the_next_epoch(
    v11_root: Path, drop_last: bool
) -> None:
    # Eight places: of batches of three the last is not full.
    options = {'modalities': 'S2RGB', 'batch_size': 3, 'drop_last': drop_last}
    whole = stream(v11_root, **options)
    first, second = list(whole), list(whole)
    other = stream(v11_root, **options)
    running = iter(other)
    for _ in first:
        next(running)
    # The pass is not over, as Lightning leaves it when it saves a checkpoint.
    resumed = stream(v11_root, **options)
    resumed.load_state_dict(other.state_dict())
    running.close()
    found = list(resumed)
    assert len(found) == len(second) == (2 if drop_last else 3)
    for left, right in zip(found, second, strict=True):
        assert torch.equal(left['sample_id'], right['sample_id'])


def test_a_stream_left_early_begins_a_new_epoch(v11_root: Path) -> None:
    flow = stream(v11_root, modalities='S2RGB')
    next(iter(flow))
    assert len(ids(flow)) == 6
    assert flow.state_dict()['epoch'] == 2
    flow.set_epoch(0)
    again = stream(v11_root, modalities='S2RGB')
    assert ids(flow) == ids(again)


def test_resuming_with_other_data_is_refused(v11_root: Path) -> None:
    state = stream(v11_root, modalities='S2RGB').state_dict()
    for options in (
        {'modalities': 'S2L2A'},
        {'modalities': 'S2RGB', 'crop_size': 20},
        {'modalities': 'S2RGB', 'seed': 1},
        {'modalities': 'S2RGB', 'pool': 1},
        {'modalities': 'S2RGB', 'dates': 'each'},
        {'modalities': 'S2RGB', 'flip': True},
    ):
        with pytest.raises(ValueError, match='other data or another order'):
            stream(v11_root, **options).load_state_dict(state)


def test_a_batch_that_is_kept_is_never_overwritten(v11_root: Path) -> None:
    flow = stream(v11_root, batch_size=1, modalities='S2RGB')
    kept: list[Tensor] = []
    copies = []
    for batch in flow:
        # A part of it is enough.
        kept.append(batch['image'][0, 1])
        copies.append(kept[-1].clone())
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))


def test_memory_is_used_again(v11_root: Path) -> None:
    flow = stream(v11_root, batch_size=1, modalities='S2L2A', prefetch=1)
    # Twelve bands: three would be small enough to come from the heap, which does as it likes.
    places = [batch['image'].data_ptr() for batch in flow]
    assert len(set(places)) <= 4 < len(places)


def test_missing_radar_becomes_the_mean_not_zero_db(
    v11_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = SSL4EOS12v11.read_into

    def with_hole(
        self: object, name: str, place: int, date: int, target: np.ndarray, *more: object
    ) -> None:
        genuine(self, name, place, date, target, *more)
        target[:, 0, 0] = np.nan

    monkeypatch.setattr(SSL4EOS12v11, 'read_into', with_hole)
    left = next(iter(stream(v11_root, modalities='S1GRD')))
    assert left['image'][..., 0, 0].isnan().all()
    used = scales(v11_root, modalities='S1GRD')
    filled = next(iter(stream(v11_root, modalities='S1GRD', scales=used)))
    # The mean, which standardised is zero: 0 dB would be brighter than any land.
    assert filled['image'][..., 0, 0].abs().max() < 1e-6
    used = scales(v11_root, 'pretraining', modalities='S1GRD')
    filled = next(iter(stream(v11_root, modalities='S1GRD', scales=used)))
    assert torch.allclose(filled['image'][..., 0, 0], torch.tensor(0.5))


def test_a_damaged_file_ends_the_stream_and_is_named(v11_copy: Path) -> None:
    dataset = SSL4EOS12v11(v11_copy, modalities='S2L2A')
    index = dataset._readers['S2L2A'].index
    first = int(index.chunks[0, 2, 0])
    path = v11_copy / 'train' / 'S2L2A' / str(index.files[0])
    content = bytearray(path.read_bytes())
    content[first + 8 : first + 16] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'000001.zarr.zip, place 00001\d+, date 2: no Blosc'):
        list(SSL4EOS12v11Stream(dataset, 2))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'batch_size': 0}, 'batch_size'),
        ({'threads': 0}, 'threads'),
        ({'prefetch': 0}, 'prefetch'),
        ({'crop_size': 49}, '1 to 48 px'),
        ({'scales': {}}, 'scales are of'),
        ({'rank': 2, 'world_size': 2}, 'rank 2'),
        ({'remainder': 'keep'}, 'Unknown remainder'),
        ({'shuffle': False, 'pool': 2}, 'shuffle is False'),
    ],
)
def test_impossible_options_are_named(
    v11_root: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        stream(v11_root, modalities='S2RGB', **options)


def test_transforms_and_masks_are_not_dropped_in_silence(v11_root: Path) -> None:
    for options in ({'transforms': lambda s: s}, {'cloud_mask': True}):
        dataset = SSL4EOS12v11(v11_root, modalities='S2RGB', **options)
        with pytest.raises(ValueError, match='without transforms and'):
            SSL4EOS12v11Stream(dataset, 2)
