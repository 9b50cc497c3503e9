"""Datamodule of SSL4EO-S12 v1.0: units per modality, crops that match, places that stay apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.aligned_preprocess import AlignedPreprocess
from torchgeo_copernicus.datamodules.epoch_sampler import EpochSampler
from torchgeo_copernicus.datamodules.ssl4eo_v10 import SSL4EOS12v10DataModule
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.ssl4eo.scale import Scale
from torchgeo_copernicus.datasets.ssl4eo.statistics import V10_STATISTICS
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import SSL4EOS12v10

SIZE, CROP, PLACES = 36, 24, 12
THREE: Any = ['S1GRD', 'S2L1C', 'S2L2A']


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4eo_v10(tmp_path_factory.mktemp('v10'), PLACES, 0, SIZE)


@pytest.fixture(scope='module')
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4eo_v10(tmp_path_factory.mktemp('v10'), 2, 0, SIZE, '8bit')


def datamodule(root: Path, **arguments: Any) -> SSL4EOS12v10DataModule:
    settings: dict[str, Any] = {
        'num_workers': 0,
        'batch_size': 2,
        'crop_size': CROP,
        'val_fraction': 0.3,
    }
    return SSL4EOS12v10DataModule(str(root), **(settings | arguments))


def first_batch(module: SSL4EOS12v10DataModule) -> Sample:
    """Return the first validation batch as a model sees it."""
    module.setup('validate')
    batch: Sample = next(iter(module.val_dataloader()))
    return module.aug(batch)  # type: ignore[no-any-return]


def test_radar_is_standardised_in_decibels_not_divided_by_10000(root: Path) -> None:
    batch = first_batch(datamodule(root, modalities=THREE, batch_size=3))
    for modality in THREE:
        image = batch['image'][modality]
        assert image.shape == (3, len(V10_STATISTICS[modality].mean), CROP, CROP)
        assert image.std() > 0.3, modality
        assert image.abs().mean() < 3, modality
    raw = first_batch(datamodule(root, modalities=['S1GRD'], crop_size=None))
    dataset = SSL4EOS12v10(root, ['S1GRD'], 'random', ids=[int(raw['sample_id'][0][:7])])
    vv = (dataset[0]['image'][0] + 12.548) / 5.257
    assert torch.allclose(raw['image'][0, 0], vv, atol=1e-5)


def test_pretraining_sees_what_the_released_weights_saw(root: Path) -> None:
    raw = first_batch(datamodule(root, modalities=['S2L1C'], crop_size=None))
    seen = first_batch(
        datamodule(root, modalities=['S2L1C'], crop_size=None, normalisation='pretraining')
    )
    mean = torch.tensor(list(V10_STATISTICS['S2L1C'].mean.values()))[:, None, None]
    std = torch.tensor(list(V10_STATISTICS['S2L1C'].std.values()))[:, None, None]
    dn = raw['image'] * std + mean
    assert torch.allclose(seen['image'], (dn / 10_000).clamp(0, 1), atol=1e-6)
    z = first_batch(datamodule(root, modalities=['S1GRD'], crop_size=None))['image']
    y = first_batch(
        datamodule(root, modalities=['S1GRD'], crop_size=None, normalisation='pretraining')
    )['image']
    assert torch.allclose(y, (0.25 * z + 0.5).clamp(0, 1), atol=1e-6)
    assert (y == 0).any() or (y == 1).any() or y.std() > 0.05


def test_8_bit_counts_have_their_own_scale(compressed: Path) -> None:
    common: Any = {
        'variant': '8bit',
        'val_fraction': 0.99,
        'split_by': 'id',
        'crop_size': None,
        'modalities': ['S2L1C'],
    }
    decoded = first_batch(datamodule(compressed, **common))['image']
    counts = first_batch(datamodule(compressed, decode=False, **common))['image']
    assert (decoded - counts).abs().mean() < 0.03
    seen = first_batch(datamodule(compressed, decode=False, normalisation='pretraining', **common))[
        'image'
    ]
    assert torch.allclose(seen, (counts * 63.75 + 127.5) / 255, atol=1e-5)


def test_missing_pixels_become_the_mean_in_every_normalisation() -> None:
    image = torch.full((1, 1, 4, 4), 3.0)
    image[..., 0, 0], image[..., 0, 1] = torch.nan, -torch.inf
    out = AlignedPreprocess({'x': Scale([5.0], [2.0], fill=[5.0])})({'image': image})['image']
    assert out[0, 0, 0].tolist() == [0.0, 0.0, -1.0, -1.0]
    cut = AlignedPreprocess({'x': Scale([1.0], [4.0], fill=[9.0], clip=True)})({'image': image})
    assert cut['image'][0, 0, 0].tolist() == [1.0, 1.0, 0.5, 0.5]


def numbered(count: int, *shape: int, size: int = 12) -> Tensor:
    """Images whose pixels tell row and column: `[count, *shape, size, size]`."""
    grid = torch.arange(float(size * size)).reshape(size, size)
    return grid.expand(count, *shape, size, size).clone()


def preprocess(**arguments: Any) -> AlignedPreprocess:
    scales = {name: Scale([0.0] * c, [1.0] * c, [0.0] * c) for name, c in (('a', 2), ('b', 3))}
    return AlignedPreprocess(scales, **arguments)


def test_crops_and_flips_match_across_modalities_and_dates_but_not_samples() -> None:
    torch.manual_seed(0)
    batch: Sample = {'image': {'a': numbered(64, 4, 2), 'b': numbered(64, 4, 3)}, 'other': 1}
    out = preprocess(crop_size=8, augment=True)(batch)
    a, b = out['image']['a'], out['image']['b']
    assert a.shape == (64, 4, 2, 8, 8)
    assert b.shape == (64, 4, 3, 8, 8)
    reference = a[:, 0, 0]
    assert (a == reference[:, None, None]).all()
    assert (b == reference[:, None, None]).all()
    corners = {
        tuple(sorted((int(one[0, 0]), int(one[0, -1]), int(one[-1, 0])))) for one in reference
    }
    assert len(corners) > 15
    directions = {(bool(one[0, 1] > one[0, 0]), bool(one[1, 0] > one[0, 0])) for one in reference}
    assert len(directions) == 4
    # Every place of the crop is drawn, the last row and column too.
    assert {int(one.min()) // 12 for one in reference} == {0, 1, 2, 3, 4}
    assert {int(one.min()) % 12 for one in reference} == {0, 1, 2, 3, 4}
    assert out['other'] == 1
    torch.manual_seed(0)
    again = preprocess(crop_size=8, augment=True)(batch)
    assert torch.equal(again['image']['a'], a)


def test_without_augmentation_the_middle_is_taken() -> None:
    batch: Sample = {'image': {'a': numbered(3, 2), 'b': numbered(3, 3)}}
    out = preprocess(crop_size=8)(batch)['image']['a']
    assert torch.equal(out, batch['image']['a'][..., 2:10, 2:10])
    assert torch.equal(preprocess()(batch)['image']['a'], batch['image']['a'])


def test_concatenated_channels_are_in_the_order_of_the_modalities() -> None:
    batch: Sample = {
        'image': {'b': numbered(3, 4, 3) + 1000, 'a': numbered(3, 4, 2)},
        'metadata': {'a': torch.rand(3, 4, 4), 'b': torch.rand(3, 4, 4)},
    }
    out = preprocess(concat=True)(batch)
    assert out['image'].shape == (3, 4, 5, 12, 12)
    assert (out['image'][:, :, :2] < 1000).all()
    assert (out['image'][:, :, 2:] >= 1000).all()
    assert torch.equal(out['metadata'], batch['metadata']['a'])


def test_what_cannot_be_aligned_is_refused() -> None:
    with pytest.raises(ValueError, match='differ in size'):
        preprocess()({'image': {'a': numbered(1, 2), 'b': numbered(1, 3, size=6)}})
    with pytest.raises(ValueError, match='numbers of dates'):
        preprocess(concat=True)({'image': {'a': numbered(1, 4, 2), 'b': numbered(1, 3, 3)}})
    with pytest.raises(ValueError, match='crop_size is 13'):
        preprocess(crop_size=13)({'image': {'a': numbered(1, 2), 'b': numbered(1, 3)}})


@pytest.mark.parametrize('dates', [(), (4,)])
def test_the_metadata_follows_the_crop(dates: tuple[int, ...]) -> None:
    row = torch.tensor([11.0, 60.0, 18500.0, 10.0])
    scale = {'x': Scale([0.0], [1.0], [0.0])}
    batch: Sample = {
        'image': numbered(200, *dates, 1, size=264),
        'metadata': row.expand(200, *dates, 4).clone(),
    }
    torch.manual_seed(1)
    out = AlignedPreprocess(scale, 224, augment=True)(batch)
    found = out['metadata'].reshape(200, -1, 4)
    corner = out['image'].reshape(200, -1, 224 * 224)[:, 0].min(dim=1).values
    down = corner // 264 - 20
    right = corner % 264 - 20
    metres_per_degree = 111_319.49
    for column in range(found.shape[1]):
        longitude, latitude, days, gsd_m = found[:, column].unbind(1)
        assert torch.allclose((60 - latitude) * metres_per_degree, down * 10, atol=0.7)
        # A degree of longitude is half as long at 60 degrees north.
        assert torch.allclose((longitude - 11) * metres_per_degree / 2, right * 10, atol=0.7)
        assert (days == 18500).all()
        assert (gsd_m == 10).all()
    assert down.min() == right.min() == -20
    assert down.max() == right.max() == 20
    middle = AlignedPreprocess(scale, 224)(batch)
    assert torch.allclose(middle['metadata'], batch['metadata'], rtol=0, atol=1e-5)


def test_unknown_metadata_stays_unknown_alone() -> None:
    metadata = torch.tensor([[11.0, 60.0, torch.nan, 10.0], [torch.nan, 60.0, 1.0, torch.nan]])
    out = AlignedPreprocess({'x': Scale([0.0], [1.0], [0.0])}, 4)(
        {'image': numbered(2, 1, size=8), 'metadata': metadata}
    )['metadata']
    assert out.isnan().tolist() == metadata.isnan().tolist()
    assert out[1, 1] == 60


def test_a_crop_over_the_date_line_stays_in_range() -> None:
    metadata = torch.tensor([[179.9999, 0.0, 1.0, 10.0], [-179.9999, 0.0, 1.0, 10.0]])
    torch.manual_seed(3)
    found = torch.stack(
        [
            AlignedPreprocess({'x': Scale([0.0], [1.0], [0.0])}, 224, augment=True)(
                {'image': numbered(2, 1, size=264), 'metadata': metadata}
            )['metadata'][:, 0]
            for _ in range(20)
        ]
    )
    assert (found.abs() <= 180).all()
    assert (found[:, 0] < 0).any()
    assert (found[:, 1] > 0).any()


def test_metadata_can_be_left_out(root: Path) -> None:
    assert 'metadata' not in first_batch(datamodule(root, metadata=False))
    batch = first_batch(datamodule(root, modalities=THREE))
    assert set(batch['metadata']) == set(THREE)
    joined = first_batch(datamodule(root, modalities=THREE, concat=True))
    assert joined['image'].shape == (2, 27, CROP, CROP)
    assert torch.equal(joined['metadata'], batch['metadata']['S1GRD'])
    assert torch.equal(joined['image'][:, 2:15], batch['image']['S2L1C'])


def test_series_keep_their_dates(root: Path) -> None:
    batch = first_batch(datamodule(root, modalities=THREE, dates='all', concat=True))
    assert batch['image'].shape == (2, 4, 27, CROP, CROP)
    assert batch['metadata'].shape == (2, 4, 4)


def ids(module: SSL4EOS12v10DataModule, stage: str = 'fit') -> tuple[set[int], set[int]]:
    module.setup(stage)
    train, val = (
        set(dataset.ids.tolist()) if dataset else set()  # type: ignore[attr-defined]
        for dataset in (module.train_dataset, module.val_dataset)
    )
    return train, val


def test_validation_places_are_apart_and_the_same_every_time(root: Path) -> None:
    every = set(SSL4EOS12v10(root).ids.tolist())
    for split_by in ('block', 'id'):
        train, val = ids(datamodule(root, split_by=split_by))
        assert train | val == every
        assert not train & val
        assert train and val
        assert ids(datamodule(root, split_by=split_by))[1] == val
        splits = {
            frozenset(ids(datamodule(root, split_by=split_by, seed=seed))[1]) for seed in range(6)
        }
        assert len(splits) > 2
        # A larger part holds the smaller one, and fewer places do not move others.
        assert ids(datamodule(root, split_by=split_by, val_fraction=0.6))[1] >= val
        some = sorted(every)[3:]
        assert ids(datamodule(root, split_by=split_by, ids=some))[1] == val & set(some)


def test_neighbours_are_on_one_side(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # All places in one block: all or none is for validation.
    monkeypatch.setattr(SSL4EOS12v10, 'location', lambda self, place_id: (11.2, 48.7))
    for seed in range(4):
        with pytest.raises(ValueError, match=r'None of 12 places|fewer than one batch|is empty'):
            datamodule(root, seed=seed, val_fraction=0.5).setup('fit')
    train, val = ids(datamodule(root, split_by='id', val_fraction=0.5))
    assert train and val


def test_unknown_places_cannot_be_split_by_blocks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = (float('nan'), float('nan'))
    monkeypatch.setattr(SSL4EOS12v10, 'location', lambda self, place_id: nowhere)
    with pytest.raises(ValueError, match="split_by='id'"):
        datamodule(root).setup('fit')


def test_without_validation_there_is_none(root: Path) -> None:
    module = datamodule(root, val_fraction=0)
    train, val = ids(module)
    assert len(train) == PLACES
    assert not val
    assert list(module.val_dataloader()) == []
    with pytest.raises(ValueError, match='raise val_fraction'):
        datamodule(root, val_fraction=0).setup('validate')


def test_test_takes_the_validation_places_and_predict_all(root: Path) -> None:
    module = datamodule(root)
    _, val = ids(module)
    module.setup('test')
    assert set(module.test_dataset.ids.tolist()) == val  # type: ignore[union-attr]
    module.setup('predict')
    assert len(module.predict_dataset) == PLACES  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'normalisation': 'minmax'}, "normalisation 'minmax'"),
        ({'split_by': 'random'}, "split_by 'random'"),
        ({'dates': 'some'}, "dates 'some'"),
        ({'variant': 'jpeg'}, "variant 'jpeg'"),
        ({'batch_size': 0}, 'batch_size'),
        ({'crop_size': 0}, 'crop_size'),
        ({'num_workers': -1}, 'num_workers'),
        ({'val_fraction': 1}, 'val_fraction'),
        ({'val_fraction': -0.1}, 'val_fraction'),
        ({'modalities': ['S2']}, 'S2L1C'),
        ({'bands': ['B99']}, 'B99'),
        ({'concat': True}, 'concat joins several'),
        ({'decode': False}, 'decode'),
        ({'seed': -1}, 'seed'),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_read(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        datamodule(Path('nowhere'), **arguments)


def test_a_crop_or_batch_that_is_too_large_is_said(root: Path) -> None:
    with pytest.raises(ValueError, match='crop_size is 224 px, images are 36'):
        datamodule(root, crop_size=224).setup('fit')
    with pytest.raises(ValueError, match='fewer than one batch of 64'):
        datamodule(root, batch_size=64).setup('fit')


def test_a_loader_covers_every_place_in_an_order_of_its_seed(root: Path) -> None:
    module = datamodule(root, val_fraction=0, batch_size=1, bands=['B02'])
    module.setup('fit')
    orders = []
    for epoch in (0, 1, 0):
        loader = module.train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        orders.append([batch['sample_id'][0] for batch in loader])
    assert orders[0] == orders[2]
    assert [name[:7] for name in orders[0]] != [name[:7] for name in orders[1]]
    assert sorted(name[:7] for name in orders[0]) == sorted(name[:7] for name in orders[1])
    assert len(set(orders[0])) == PLACES
    # Not only the order: the dates too.
    assert sorted(orders[0]) != sorted(orders[1])


def test_processes_share_the_places_of_an_epoch(root: Path) -> None:
    dataset = SSL4EOS12v10(root, dates='random', bands=['B02'])
    shares = []
    for rank in range(3):
        sampler = EpochSampler(dataset, 3, rank, seed=5)
        sampler.set_epoch(2)
        shares.append(set(sampler))
    assert set.union(*shares) == set(range(PLACES))
    assert sum(map(len, shares)) == PLACES


class Watcher(LightningModule):
    """Trains nothing and keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: dict[str, list[list[str]]] = {'train': [], 'val': []}

    def training_step(self, batch: Sample) -> Tensor:
        self.seen['train'][-1].extend(batch['sample_id'])
        assert batch['image'].shape[-1] == CROP
        return self.layer(torch.ones(1, 1)).sum()

    def validation_step(self, batch: Sample) -> None:
        self.seen['val'][-1].extend(batch['sample_id'])

    def on_train_epoch_start(self) -> None:
        self.seen['train'].append([])

    def on_validation_epoch_start(self) -> None:
        self.seen['val'].append([])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings('ignore')
def test_lightning_draws_new_dates_in_each_epoch_and_the_same_in_validation(root: Path) -> None:
    runs = []
    for workers in (0, 1):
        model = Watcher()
        trainer = Trainer(
            accelerator='cpu',
            max_epochs=3,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(model, datamodule=datamodule(root, bands=['B02'], num_workers=workers))
        runs.append(model.seen)
    assert runs[0] == runs[1]
    train, val = runs[0]['train'], runs[0]['val']
    assert len({frozenset(names) for names in train}) == 3
    assert val[0] == val[1] == val[2]
    assert not {name[:7] for name in train[0]} & {name[:7] for name in val[0]}


def test_download_is_left_to_one_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    original = SSL4EOS12v10.__init__

    def spy(self: SSL4EOS12v10, **arguments: Any) -> None:
        made.append(arguments['download'])
        original(self, **arguments)

    monkeypatch.setattr(SSL4EOS12v10, '__init__', spy)
    datamodule(root).prepare_data()
    assert made == []
    datamodule(root, download=True).prepare_data()
    assert made == [True]


@pytest.mark.terratorch
@pytest.mark.filterwarnings('ignore')
def test_terratorch_fits_from_a_yaml(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terratorch.cli_tools import build_lightning_cli

    config = {
        'seed_everything': 0,
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 1,
            'logger': False,
            # Not a limit of 1 batch, which jsonargparse may take for 1.0, all of them.
            'max_steps': 1,
            'limit_val_batches': 1,
            'enable_checkpointing': False,
        },
        'data': {
            'class_path': 'torchgeo_copernicus.datamodules.ssl4eo_v10.SSL4EOS12v10DataModule',
            'init_args': {
                'root': str(root),
                'modalities': ['S1GRD', 'S2L2A'],
                'bands': {'S2L2A': ['B04', 'B03', 'B02']},
                'concat': True,
                'batch_size': 2,
                'num_workers': 0,
                'crop_size': CROP,
                'val_fraction': 0.3,
                'normalisation': 'pretraining',
            },
        },
        'model': {
            'class_path': 'torchgeo.trainers.BYOLTask',
            'init_args': {'model': 'resnet18', 'in_channels': 5},
        },
    }
    file = tmp_path / 'fit.yaml'
    file.write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['terratorch', 'fit', '-c', str(file)])
    cli: Any = build_lightning_cli()
    assert cli.trainer.global_step == 1
