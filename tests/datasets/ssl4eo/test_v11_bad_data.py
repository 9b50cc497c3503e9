"""Damaged and unusual files: read right, or refused with the name of what is wrong."""

from __future__ import annotations

import json
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import xarray
import zarr
from numcodecs.abc import Codec

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.v11.crc_check import check_whole
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import file_name
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import LocalFile

from .test_v11_verify import array, rewrite

NAME = file_name('train', 1)
Edit = Callable[[str, bytes], bytes | None]


@pytest.fixture
def path(v11_copy: Path) -> Path:
    """One file of Sentinel-2, with those of Sentinel-1 beside it."""
    for modality in ('S1GRD', 'S2L1C'):
        (v11_copy / 'train' / modality / file_name('train', 2)).unlink()
    return v11_copy / 'train' / 'S2L1C' / NAME


def dataset(path: Path, modalities: str | list[str] = 'S2L1C', **options: object) -> SSL4EOS12v11:
    return SSL4EOS12v11(path.parents[2], 'train', modalities, **options)


def through_zarr(path: Path) -> xarray.Dataset:
    with zarr.storage.ZipStore(path, mode='r') as store:
        return xarray.open_zarr(store, decode_cf=False, consolidated=False).load()


def assert_read_as_by_zarr(path: Path) -> None:
    wanted = through_zarr(path)
    group = ZarrZip(LocalFile(path))
    for name in group.arrays:
        np.testing.assert_array_equal(group.read(name), wanted[name].values, err_msg=name)
    data = dataset(path, keep_offset=True, cloud_mask=True)
    for item in range(len(data)):
        sample = data[item]
        np.testing.assert_array_equal(sample['image'].numpy(), wanted['bands'].values[item])
        np.testing.assert_array_equal(
            sample['cloud_mask'].numpy(), wanted['cloud_mask'].values[item]
        )
    # Last bands first, a gap, and some alone: other parts of the chunk than all of it.
    some = dataset(path, bands=['B12', 'B01', 'B05'], keep_offset=True)[2]['image'].numpy()
    np.testing.assert_array_equal(some, wanted['bands'].values[2][:, [12, 0, 4]])


def rezip(path: Path, edit: Edit, method: int = zipfile.ZIP_STORED) -> None:
    """Write an archive anew with its members changed; None leaves one out."""
    new = path.with_suffix('.new')
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, 'w', method) as archive:
        for info in old.infolist():
            content = edit(info.filename, old.read(info))
            if content is not None:
                archive.writestr(info.filename, content)
    new.replace(path)


def edit_document(name: str, **changes: object) -> Edit:
    """Change `.zarray` of an array, here and in the consolidated document."""

    def edit(member: str, content: bytes) -> bytes:
        if member == f'{name}/.zarray':
            return json.dumps({**json.loads(content), **changes}).encode()
        if member == '.zmetadata':
            document = json.loads(content)
            document['metadata'][f'{name}/.zarray'].update(changes)
            return json.dumps(document).encode()
        return content

    return edit


def chunk_span(path: Path, name: str) -> tuple[int, int]:
    group = ZarrZip(LocalFile(path))
    return group.place(name), group.members[name].size


def poke(path: Path, position: int, content: bytes) -> None:
    with path.open('r+b') as file:
        file.seek(position)
        file.write(content)


CODECS: dict[str, Codec | None] = {
    **{
        f'blosc {name}': numcodecs.Blosc(name, 5, numcodecs.Blosc.SHUFFLE)
        for name in ('lz4', 'zstd', 'zlib', 'blosclz', 'lz4hc')
    },
    'blosc without shuffle': numcodecs.Blosc('lz4', 5, numcodecs.Blosc.NOSHUFFLE),
    'blosc bits': numcodecs.Blosc('zstd', 5, numcodecs.Blosc.BITSHUFFLE),
    'blosc not compressed': numcodecs.Blosc('lz4', 0),
    'blosc small blocks': numcodecs.Blosc('lz4', 5, numcodecs.Blosc.SHUFFLE, 4096),
    'blosc odd blocks': numcodecs.Blosc('zstd', 5, numcodecs.Blosc.SHUFFLE, 5000),
    'zstd': numcodecs.Zstd(3),
    'zlib': numcodecs.Zlib(1),
    'none': None,
}


@pytest.mark.parametrize('name', CODECS)
def test_every_codec_gives_what_zarr_gives(tmp_path: Path, name: str) -> None:
    codec = CODECS[name]
    root = make_ssl4eo_v11(tmp_path, n=4, seed=0, size=48, modalities=['S2L1C'], codec=codec)
    assert_read_as_by_zarr(root / 'train' / 'S2L1C' / NAME)


def test_the_last_block_of_a_chunk_alone_is_read(tmp_path: Path) -> None:
    # Shorter than the others, and Blosc refuses blocks longer than the whole.
    codec = numcodecs.Blosc('lz4', 5, numcodecs.Blosc.SHUFFLE, 1 << 15)
    root = make_ssl4eo_v11(tmp_path, n=4, seed=0, size=48, modalities=['S2L1C'], codec=codec)
    path = root / 'train' / 'S2L1C' / NAME
    (last,) = dataset(path, bands=['B12'], keep_offset=True, dates='each')[11]['image'].numpy()
    np.testing.assert_array_equal(last, through_zarr(path)['bands'].values[-1, -1, -1])


def test_deflated_members_are_read_whole_and_right(path: Path) -> None:
    rezip(path, lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert_read_as_by_zarr(path)
    check_whole(path)


def test_of_two_members_of_one_name_the_last_counts(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, 'a') as archive:
        warnings.simplefilter('ignore')
        for name in ('bands/0.2.0.0.0', '.zmetadata', 'sample/0'):
            content = archive.read(name)
            archive.writestr(name, b'old')
            archive.writestr(name, content)
    assert_read_as_by_zarr(path)


def test_a_file_without_consolidated_metadata_is_read(path: Path) -> None:
    rezip(path, lambda name, content: None if name == '.zmetadata' else content)
    assert_read_as_by_zarr(path)


def rechunk(path: Path, chunks: tuple[int, ...]) -> None:
    """Write `bands` anew through zarr, in other chunks."""
    bands, other = array(path, 'bands'), path.with_suffix('.other')
    with warnings.catch_warnings(), zarr.storage.ZipStore(other, mode='w') as store:
        warnings.simplefilter('ignore')  # zarr writes members twice.
        new = zarr.__version__ >= '3'
        group = zarr.open_group(store, mode='w', **({'zarr_format': 2} if new else {}))
        make = group.create_array if new else group.create_dataset
        made = make('bands', shape=bands.shape, chunks=chunks, dtype=bands.dtype)
        made.attrs['_ARRAY_DIMENSIONS'] = ['sample', 'time', 'band', 'y', 'x']
        made[...] = bands

    def edit(name: str, content: bytes) -> bytes | None:
        return None if name == '.zmetadata' or name.startswith('bands/') else content

    rezip(path, edit)
    with zipfile.ZipFile(path, 'a') as archive, zipfile.ZipFile(other) as source:
        content = {name: source.read(name) for name in source.namelist()}
        for name, part in content.items():
            if name.startswith('bands/'):
                archive.writestr(name, part)


@pytest.mark.parametrize(
    'chunks', [(1, 1, 13, 48, 48), (2, 4, 5, 48, 48), (3, 3, 3, 48, 48), (64, 1, 16, 48, 48)]
)
def test_other_chunks_than_expected_are_read_right(path: Path, chunks: tuple[int, ...]) -> None:
    rechunk(path, chunks)
    assert_read_as_by_zarr(path)


@pytest.mark.parametrize('chunks', [(4, 1, 13, 20, 30), (4, 1, 13, 48, 24), (4, 1, 13, 64, 64)])
def test_chunks_that_cut_an_image_are_refused_not_misread(
    path: Path, chunks: tuple[int, ...]
) -> None:
    rechunk(path, chunks)
    with pytest.raises(ValueError, match=f'{NAME}: bands is cut into chunks of .* within an image'):
        dataset(path)


@pytest.mark.parametrize('keep', [0, 3, 100, -100, -1])
def test_a_file_that_is_cut_off_is_named(path: Path, keep: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:keep])
    with pytest.raises(ValueError, match=rf'{NAME} is not a whole zip archive'):
        dataset(path)
    with pytest.raises(ValueError, match=NAME):
        check_whole(path)


def test_a_file_cut_off_after_it_was_indexed_is_built_anew_and_named(path: Path) -> None:
    dataset(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=f'{NAME} is not a whole zip archive'):
        dataset(path)


def test_a_file_that_shrinks_while_open_names_file_place_and_date(path: Path) -> None:
    data = dataset(path)
    data[0]
    start, _ = chunk_span(path, 'bands/0.3.0.0.0')
    with path.open('r+b') as file:
        file.truncate(start + 2000)
    with pytest.raises(ValueError, match=rf'{NAME}, place 0000207, date 3: .*cut off'):
        data[2]


@pytest.mark.parametrize(
    ('offset', 'content', 'message'),
    [
        (0, b'\x07', 'format 7'),
        (4, struct.pack('<I', 1), 'no Blosc chunk of'),
        (8, struct.pack('<I', 0), 'blocks of 0'),
        (12, struct.pack('<I', 99), '99 '),
        (16, b'\xff\xff\xff\xff', 'offsets of the Blosc blocks'),
        (16, struct.pack('<I', 3), 'offsets of the Blosc blocks'),
        (8, struct.pack('<I', 1), 'has only'),
    ],
)
def test_a_damaged_header_or_table_names_file_place_and_date(
    path: Path, offset: int, content: bytes, message: str
) -> None:
    start, _ = chunk_span(path, 'bands/0.1.0.0.0')
    poke(path, start + offset, content)
    data = dataset(path, dates='each')
    data[0]
    with pytest.raises(ValueError, match=rf'{NAME}, place 0000190, date 1: .*{message}'):
        data[5]


def test_a_damaged_block_is_an_error_or_found_by_its_crc(path: Path) -> None:
    # Blosc has no checksum of its own: some flipped bytes decode to other pixels.
    start, size = chunk_span(path, 'bands/0.1.0.0.0')
    poke(path, start + size // 2, b'\xff' * 200)
    with pytest.raises(ValueError, match=r"the CRC of \['bands/0\.1\.0\.0\.0'\] differs"):
        check_whole(path)
    with pytest.raises(ValueError, match=rf'{NAME}, place \d+, date 1: Blosc blocks .* damaged'):
        for item in range(4):
            dataset(path)[item]


@pytest.mark.parametrize('codec', [numcodecs.Zstd(3), numcodecs.Zlib(1)])
def test_a_damaged_chunk_of_another_codec_is_named(tmp_path: Path, codec: Codec) -> None:
    root = make_ssl4eo_v11(tmp_path, n=4, seed=0, size=48, modalities=['S2L1C'], codec=codec)
    path = root / 'train' / 'S2L1C' / NAME
    start, size = chunk_span(path, 'bands/0.1.0.0.0')
    poke(path, start + size // 2, b'\xff' * 200)
    with pytest.raises(ValueError, match=rf'{NAME}, place 0000173, date 1: .*bands/0\.1.*CRC'):
        dataset(path)[0]


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('bands/0.1.0.0.0', r'chunk bands/0\.1\.0\.0\.0 is missing'),
        ('sample/0', 'sample/0 is missing'),
    ],
)
def test_a_missing_chunk_is_not_read_as_zeros(path: Path, name: str, message: str) -> None:
    rezip(path, lambda member, content: None if member == name else content)
    with pytest.raises(ValueError, match=f'{NAME}.*{message}'):
        dataset(path)


def test_a_missing_variable_is_named_with_those_there_are(path: Path) -> None:
    def edit(member: str, content: bytes) -> bytes | None:
        return None if member == '.zmetadata' or member.startswith('file_id/') else content

    rezip(path, edit)
    with pytest.raises(ValueError, match=rf"{NAME} has no variable 'file_id'; there are \['band'"):
        dataset(path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'dtype': '|O'}, 'Python objects'),
        ({'zarr_format': 3}, 'zarr_format is 3'),
        ({'dtype': '<q9'}, 'cannot be understood'),
        ({'chunks': [0, 1, 13, 48, 48]}, 'in chunks of'),
        ({'shape': [4, 4]}, 'in chunks of'),
        ({'shape': None}, 'cannot be understood'),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(
    path: Path, changes: dict[str, object], message: str
) -> None:
    rezip(path, edit_document('bands', **changes))
    with pytest.raises(ValueError, match=rf'{NAME}: bands/\.zarray .*{message}'):
        dataset(path)


def test_an_array_of_pickles_is_refused_and_does_not_run(path: Path) -> None:
    rezip(path, edit_document('file_id', dtype='|O', filters=[{'id': 'pickle'}]))
    with pytest.raises(ValueError, match=r'file_id/\.zarray .*could run code'):
        dataset(path)


def test_pickles_behind_a_plain_type_do_not_run_either(path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (path.with_name('ran'),)

    change = edit_document('crs', compressor=None, filters=[{'id': 'pickle', 'protocol': 4}])
    rezip(path, lambda n, c: pickle.dumps(Bomb()) if n == 'crs/0' else change(n, c))
    with pytest.raises(ValueError, match=r'crs.*pickle.*Allowed'):
        dataset(path)
    assert not path.with_name('ran').exists()


def test_an_unknown_codec_is_named(path: Path) -> None:
    rezip(path, edit_document('crs', compressor={'id': 'nosuch'}))
    with pytest.raises(ValueError, match=r'crs.*nosuch.*Allowed: .*blosc'):
        dataset(path)


def test_a_zip_bomb_is_refused_without_being_inflated(path: Path) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b''.join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo('sample/0').file_size
    rezip(path, lambda n, c: packed if n == 'sample/0' else c)
    # A member that says it holds a few bytes, deflated, and holds 64 MB.
    content = bytearray(path.read_bytes())
    position = content.rindex(b'sample/0') - 46
    struct.pack_into('<H', content, position + 10, zipfile.ZIP_DEFLATED)
    struct.pack_into('<I', content, position + 24, size)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'{NAME}: sample/0 is damaged'):
        dataset(path)
    with pytest.raises(ValueError, match=r"\['sample/0'\]"):
        check_whole(path)


def test_an_array_of_a_terabyte_is_refused_before_memory_is_taken(path: Path) -> None:
    rezip(path, edit_document('sample', shape=[1 << 38], chunks=[1 << 38]))
    with pytest.raises(ValueError, match=rf'{NAME}.*sample.*too (many|large)'):
        dataset(path)


def test_an_array_of_many_small_chunks_cannot_take_all_memory(path: Path) -> None:
    rezip(path, edit_document('sample', shape=[1 << 38], chunks=[1 << 20]))
    with pytest.raises(ValueError, match=rf'{NAME}.*sample'):
        dataset(path)


def test_an_encrypted_or_strangely_packed_member_is_refused(path: Path) -> None:
    rezip(path, lambda name, content: content, zipfile.ZIP_LZMA)
    with pytest.raises(ValueError, match=rf'{NAME}: .* compressed by method 14'):
        dataset(path)


def test_another_order_of_places_in_a_modality_is_put_right(path: Path) -> None:
    before = [sample['image']['S1GRD'] for sample in dataset(path, ['S2L1C', 'S1GRD'])]
    radar = path.parents[1] / 'S1GRD' / NAME
    names = [n for n in ('bands', 'file_id', 'time_', 'sample', 'sample_id', 'crs')]
    names += ['center_lat', 'center_lon', 'x_', 'y_']
    rewrite(radar, **{name: array(radar, name)[[2, 0, 3, 1]] for name in names})
    data = dataset(path, ['S2L1C', 'S1GRD'])
    after = [sample['image']['S1GRD'] for sample in data]
    assert all(a.equal(b) for a, b in zip(before, after, strict=True))
    assert not after[0].equal(after[1])


def test_other_places_in_a_modality_are_not_paired_by_position(path: Path) -> None:
    radar = path.parents[1] / 'S1GRD' / NAME
    ids = array(radar, 'sample').copy()
    ids[1] = '0099999'
    rewrite(radar, sample=ids)
    with pytest.raises(ValueError, match=r"1 places of S2L1C are not in S1GRD.*\['190'\]"):
        dataset(path, ['S2L1C', 'S1GRD'])


def test_a_modality_that_lacks_a_file_or_all_is_named(path: Path) -> None:
    radar = path.parents[1] / 'S1GRD' / NAME
    moved = radar.with_name(file_name('train', 2))
    radar.rename(moved)
    with pytest.raises(ValueError, match=rf'files of S2L1C are not in S1GRD, such as .*{NAME}'):
        dataset(path, ['S2L1C', 'S1GRD'])
    shutil.rmtree(moved.parent)
    with pytest.raises(ValueError, match=r'train/S1GRD has no files \*\.zarr\.zip'):
        dataset(path, ['S2L1C', 'S1GRD'])


def test_bands_of_another_modality_are_not_taken_by_position(path: Path) -> None:
    shutil.copy(path.parents[1] / 'S1GRD' / NAME, path)
    with pytest.raises(ValueError, match="'VV'"):
        dataset(path)


@pytest.mark.parametrize('values', [['a', 'b', 'c', 'd'], ['1', '2', '3', '-']])
def test_ids_that_are_no_numbers_are_refused(path: Path, values: list[str]) -> None:
    rewrite(path, sample=np.array(values, '<U7'))
    with pytest.raises(ValueError, match=f'{NAME}: sample holds .* not ids'):
        dataset(path)


def test_products_that_are_none_of_sentinel_1_are_refused(path: Path) -> None:
    radar = path.parents[1] / 'S1GRD' / NAME
    names = array(radar, 'file_id').copy()
    names[1, 2] = 'S1_broken'
    rewrite(radar, file_id=names)
    with pytest.raises(ValueError, match=f"{NAME}: 'S1_broken' is no name"):
        dataset(radar, 'S1GRD')


def test_more_chunks_than_members_are_refused_before_they_are_counted_out(path: Path) -> None:
    rezip(path, edit_document('sample', shape=[1 << 30], chunks=[1]))
    with pytest.raises(ValueError, match=rf'{NAME}: sample has 1073741824 chunks, too many'):
        dataset(path)


def test_a_member_without_its_header_is_damage(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        position = archive.getinfo('bands/0.2.0.0.0').header_offset
    poke(path, position, b'XX')
    with pytest.raises(ValueError, match=rf'{NAME} is damaged: bands/0\.2\.0\.0\.0 has no header'):
        dataset(path)


def test_a_zip_of_something_else_is_named(path: Path) -> None:
    rezip(path, lambda name, content: content if name.endswith('.zattrs') else None)
    with pytest.raises(ValueError, match=rf'{NAME} holds no Zarr group of version 2; its members'):
        dataset(path)


@pytest.mark.parametrize('name', ['.zmetadata', 'sample/.zarray'])
def test_documents_that_are_no_json_are_named(path: Path, name: str) -> None:
    drop = name != '.zmetadata'

    def edit(member: str, content: bytes) -> bytes | None:
        if drop and member == '.zmetadata':
            return None
        return content[:9] if member == name else content

    rezip(path, edit)
    with pytest.raises(ValueError, match=rf'{NAME}: {name} is damaged'):
        dataset(path)


def test_broken_deflate_is_damage(path: Path) -> None:
    rezip(path, lambda name, content: content, zipfile.ZIP_DEFLATED)
    start, size = chunk_span(path, 'bands/0.1.0.0.0')
    poke(path, start, b'\xff' * min(size, 50))
    with pytest.raises(ValueError, match=rf'{NAME}, place 0000173, date 1: .*bands/0\.1.* damaged'):
        dataset(path)[0]
    with pytest.raises(ValueError, match=r'the CRC of .*bands/0\.1'):
        check_whole(path)


@pytest.mark.parametrize('size', [0, 100, 5000])
def test_a_tar_that_is_cut_off_or_empty_is_no_whole_file(
    v11_tars: Path, tmp_path: Path, size: int
) -> None:
    path = next((v11_tars / 'val' / 'S1GRD').glob('*.tar'))
    check_whole(path)
    cut = tmp_path / 'x.tar.part'
    cut.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r'x\.tar\.part'):
        check_whole(cut)
    cut.write_bytes(bytes(10_240))
    with pytest.raises(ValueError, match='holds no'):
        check_whole(cut)
