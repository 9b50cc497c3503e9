"""A store is the same however it came about, and is added to by its like alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from torchgeo_copernicus.datasets.pretrain import CopernicusPretrainStream
from torchgeo_copernicus.embedding.preprocessing import Preprocessing
from torchgeo_copernicus.embedding.store import EmbeddingStore

from .stores import MODALITIES, OPTIONS, SIZES, cells, made, rows_hash, table_of
from .tiny import TinyEncoder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that nothing interrupted."""
    return made(shards, tmp_path_factory.mktemp('whole') / 'store').folder


def start(shards: Path, store: Path, *options: str, **encoder: Any) -> subprocess.Popen[str]:
    """Start `torchgeo-copernicus embed` in a group of processes of its own."""
    config = {
        'source': {
            'class_path': 'torchgeo_copernicus.embedding.sources.PretrainShardsSource',
            'init_args': {'shards': str(shards), 'modalities': MODALITIES},
        },
        'encoder': {'class_path': 'tests.embedding.tiny.TinyEncoder', 'init_args': encoder},
        'preprocessing': {'sizes_px': SIZES},
        'store': str(store),
    } | OPTIONS
    path = store.with_suffix('.yaml')
    path.write_text(yaml.safe_dump(config))
    program = str(Path(sys.executable).with_name('torchgeo-copernicus'))
    call = [program, 'embed', '--config', str(path), *options]
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(
        call,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )


TWO_RANKS = ('--devices', '2', '--strategy', 'ddp', '--workers', '1')


def test_a_run_killed_within_a_unit_goes_on_to_the_same_store_with_other_ranks(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    store = tmp_path / 'store'
    # A unit has about ten batches, so that this is in the middle of the second.
    killed = start(shards, store, die_after=15, slow_s=0.05)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert [path.stem for path in EmbeddingStore(store).unit_paths()] == ['unit-00000000']
    first = EmbeddingStore(store).unit_path(0)
    stamp = first.stat().st_mtime_ns
    resumed = start(shards, store, *TWO_RANKS)
    told, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    # Only one rank speaks.
    assert told.count('embeddings of 7 items in 4 files') == 1
    assert first.stat().st_mtime_ns == stamp
    assert rows_hash(store) == rows_hash(whole)


def test_a_run_of_two_ranks_killed_goes_on_to_the_same_store_with_one(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    store = tmp_path / 'store'
    killed = start(shards, store, *TWO_RANKS, slow_s=0.2)
    while not list(store.glob('rows/unit-*.parquet')) and killed.poll() is None:
        time.sleep(0.05)
    assert killed.poll() is None, killed.communicate()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert 1 <= len(EmbeddingStore(store).unit_paths()) < 4
    made(shards, store)
    assert rows_hash(store) == rows_hash(whole)


def test_loader_processes_change_nothing(shards: Path, whole: Path, tmp_path: Path) -> None:
    store = made(shards, tmp_path / 'store', workers=2).folder
    assert rows_hash(store) == rows_hash(whole)
    names = [path.name for path in (whole / 'rows').iterdir()]
    for name in names:
        assert (store / 'rows' / name).read_bytes() == (whole / 'rows' / name).read_bytes()


def test_no_image_is_lost_or_comes_twice_where_modalities_are_missing(
    shards: Path, whole: Path
) -> None:
    wanted = Counter(
        (sample['grid_id'], name, None if np.isnan(row[2]) else int(row[2]))
        for sample in CopernicusPretrainStream(shards, MODALITIES, shuffle=False)  # type: ignore[arg-type]
        for name in sample['image']
        for row in np.atleast_2d(sample['metadata'][name].numpy())
    )
    table = table_of(whole)
    days = table.column('date').cast('int32').to_pylist()
    found = Counter(
        zip(table.column('grid_id').to_pylist(), table.column('modality').to_pylist(), days, strict=True)
    )  # fmt: skip
    assert found == wanted
    keys = table.column('key').to_pylist()
    assert len(set(keys)) == len(keys) == wanted.total()
    assert {name for _, name, _ in wanted} == set(MODALITIES)
    # One of them lacks something.
    assert len({(grid, name) for grid, name, _ in wanted}) < 7 * len(MODALITIES)


@pytest.mark.parametrize('pool', ['mean', 'cls', 'dense'])
def test_a_row_is_what_its_image_alone_gives(shards: Path, tmp_path: Path, pool: Any) -> None:
    encoder = TinyEncoder(pool=pool)
    store = made(shards, tmp_path / 'store', encoder, dtype='float32').folder
    rows = {row['key']: row for row in table_of(store).to_pylist()}
    source = cells(shards)
    prepared = Preprocessing(sizes_px=SIZES).of(source.kinds)
    seen = 0
    for index in range(len(source)):
        for image in source.items(index):
            one = prepared[image.modality](image)
            kind = prepared[image.modality].kind
            with torch.no_grad():
                alone = encoder.encode(one.image[None], one.metadata[None], kind)[0]
            row = rows[image.key]
            np.testing.assert_allclose(
                row['embedding'], alone.numpy().reshape(-1), rtol=1e-4, atol=1e-5
            )
            shape = list(alone.shape[1:]) or [1, 1]
            assert [row['map_height'], row['map_width']] == shape
            assert row['modality'] == image.modality
            assert row['local_id'] == image.local_id
            seen += 1
    assert seen == len(rows)


@pytest.mark.parametrize(
    ('changed', 'field'),
    [
        ({'encoder': TinyEncoder(seed=1)}, 'model.weights_sha256'),
        ({'encoder': TinyEncoder(pool='cls')}, 'pooling'),
        ({'preprocessing': Preprocessing(sizes_px=SIZES, center_crop=True)}, 'preprocessing.dem.shape'),
        ({'preprocessing': Preprocessing(sizes_px=SIZES | {'dem': 32})}, 'preprocessing.dem.size_px'),
        (
            {'preprocessing': Preprocessing({'dem': {'DEM': [1.0, 2.0]}}, SIZES)},
            'preprocessing.dem.mean',
        ),
        ({'dtype': 'float32'}, 'dtype'),
        ({'precision': 'bf16-mixed'}, 'model.precision'),
        ({'items_per_unit': 3}, 'grouping.items_per_unit'),
        ({'batch_size': 4}, 'grouping.batch_size'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)  # fmt: skip
def test_a_store_is_not_mixed(
    shards: Path, whole: Path, changed: dict[str, Any], field: str
) -> None:
    before = rows_hash(whole)
    with pytest.raises(ValueError, match=f'{field}: .* in the store, .* now') as caught:
        made(shards, whole, **changed)
    # What is the same is not named.
    assert 'data.' not in str(caught.value)
    assert rows_hash(whole) == before


def test_other_data_is_not_added(shards: Path, whole: Path) -> None:
    grids = [int(row['grid_id']) for row in table_of(whole).to_pylist()][:1]
    with pytest.raises(ValueError, match=r'data\.cells: 7 in the store, 1 now; data\.sha256'):
        made(shards, whole, source=cells(shards, grids=grids))


@pytest.mark.parametrize('damage', ['cut off', 'emptied', 'bit'])
def test_a_damaged_unit_is_made_anew(
    shards: Path, whole: Path, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = made(shards, tmp_path / 'store')
    path = store.unit_path(1)
    content = bytearray(path.read_bytes())
    if damage == 'bit':
        # In the middle are pages of values.
        content[len(content) // 3] ^= 1
    path.write_bytes({'cut off': content[:-100], 'emptied': b''}.get(damage, content))
    kept = store.unit_path(0).stat().st_mtime_ns
    (store.folder / 'rows' / '.unit-00000001.parquet.host-1.part').touch()
    made(shards, store.folder)
    assert 'unit-00000001.parquet is damaged' in caplog.text
    assert rows_hash(store.folder) == rows_hash(whole)
    assert store.unit_path(0).stat().st_mtime_ns == kept
    assert not list((store.folder / 'rows').glob('.*'))


def test_a_file_of_another_store_is_not_taken_for_a_unit(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    store = made(shards, tmp_path / 'store', TinyEncoder(seed=2))
    store.unit_path(1).write_bytes(EmbeddingStore(whole).unit_path(1).read_bytes())
    with pytest.raises(ValueError, match='of another store'):
        made(shards, store.folder, TinyEncoder(seed=2))
    store.unit_path(1).write_bytes(store.unit_path(0).read_bytes())
    with pytest.raises(ValueError, match='holds unit 0'):
        made(shards, store.folder, TinyEncoder(seed=2))


def test_values_beyond_float16_are_an_error_and_not_infinite(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'embedding of .*, but float16 holds .* up to 65504'):
        made(shards, tmp_path / 'half', TinyEncoder(scale=1e5))
    made(shards, tmp_path / 'single', TinyEncoder(scale=1e5), dtype='float32')


def test_an_embedding_that_is_no_number_is_an_error(shards: Path, tmp_path: Path) -> None:
    encoder = TinyEncoder()
    encoder.module.bias.data[3] = torch.nan
    with pytest.raises(ValueError, match='has nan, but float32'):
        made(shards, tmp_path / 'store', encoder, dtype='float32')


@pytest.mark.parametrize('unit', [0, 3])
def test_an_error_of_the_writer_reaches_the_user(
    shards: Path, tmp_path: Path, unit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = EmbeddingStore.write

    def full(self: EmbeddingStore, number: int, *rest: Any) -> None:
        if number == unit:
            raise OSError('No space left on device')
        write(self, number, *rest)

    monkeypatch.setattr(EmbeddingStore, 'write', full)
    with pytest.raises(OSError, match='No space left'):
        made(shards, tmp_path / 'store')
    assert not EmbeddingStore(tmp_path / 'store').unit_path(unit).exists()


def test_mixed_precision_leaves_places_and_days_exact(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    store = made(shards, tmp_path / 'store', precision='bf16-mixed').folder
    mixed, exact = table_of(store), table_of(whole)
    for name in ('key', 'date', 'longitude', 'latitude', 'gsd_m', 'geometry'):
        assert mixed.column(name).equals(exact.column(name))
    ours, theirs = (np.stack(t.column('embedding').to_numpy()) for t in (mixed, exact))
    assert not np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.3)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'dtype': 'int8'}, "Unknown dtype 'int8'"),
        ({'precision': 'bf16-true'}, "Unknown precision 'bf16-true'"),
        ({'items_per_unit': 0}, 'items_per_unit must be a whole number of at least 1'),
        ({'batch_size': True}, 'batch_size must be'),
        ({'workers': -1}, 'workers must be'),
        ({'preprocessing': Preprocessing(sizes_px=SIZES | {'dem': 3})}, 'odd'),
    ],
)
def test_impossible_options_are_named(
    shards: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        made(shards, tmp_path / 'store', **options)
    assert not (tmp_path / 'store').exists()


def test_units_are_compressed_geoparquet_with_checksums(whole: Path) -> None:
    meta = pq.read_metadata(EmbeddingStore(whole).unit_path(0))
    assert meta.row_group(0).column(0).compression == 'ZSTD'
    assert b'geo' in meta.metadata
