"""Every checkpoint of the release, in its own layout, gives what its network gives with those numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.conftest import SHARED
from tests.models.ssl4eo import reference, released
from torchgeo_copernicus.models.ssl4eo import ENTRIES, read_checkpoint, registration
from torchgeo_copernicus.models.ssl4eo.checkpoint_keys import BY_METHOD, dino, recognise
from torchgeo_copernicus.models.ssl4eo.encoder import load_encoder, read_encoder
from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.first_convolution import select_bands
from torchgeo_copernicus.models.ssl4eo.source import GoogleDriveFile

every_entry = pytest.mark.parametrize('entry', ENTRIES.values(), ids=list(ENTRIES))
HEADS = {'s': 6, 'b': 12, 'l': 16, 'h': 16}


def image_for(entry: Entry, side: int = 224) -> Tensor:
    shape = (2, len(entry.bands), side, side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


def test_the_entries_are_those_of_the_readme() -> None:
    seed = SHARED / 'seeds' / 'ssl4eo-s12-v1.0.md'
    if not seed.exists():
        pytest.skip('seeds/ssl4eo-s12-v1.0.md is not under COPERNICUS_SHARED')
    rows = [line for line in seed.read_text().splitlines() if 'full ckpt' in line]
    wanted = set()
    for row in rows:
        forms = re.findall(r'\[(full ckpt|backbone)[^\]]*\]\((\S+?)\)', row)
        wanted |= {(form.split()[0], url.removesuffix('?usp=sharing')) for form, url in forms}
    found = {
        (f.form, f.url.removesuffix('?usp=sharing')) for e in ENTRIES.values() for f in e.files
    }
    of_readme = {pair for pair in found if 'torchgeo/' not in pair[1] and '_enc.pth' not in pair[1]}
    assert of_readme == wanted
    assert len(rows) == 17  # One row has two epochs.
    assert len(ENTRIES) == 18
    results = [list(map(float, re.findall(r'\[(\d\d\.\d)%\]', row))) for row in rows if '%]' in row]
    assert [list(e.published.values()) for e in ENTRIES.values() if e.published] == results


def test_every_file_is_kept_under_a_name_of_its_own() -> None:
    files = [file for entry in ENTRIES.values() for file in entry.files]
    assert len({file.file_name for file in files}) == len(files)
    assert len({file.url for file in files}) == len(files)
    assert all(file.form == 'full' for file in files if '_ckpt' in file.file_name)
    drive = [file for file in files if isinstance(file, GoogleDriveFile)]
    assert all(re.fullmatch(r'[\w-]{33}', file.drive_id) for file in drive)


@pytest.mark.parametrize('form', ['full', 'backbone'])
@every_entry
@torch.no_grad()
def test_a_released_checkpoint_gives_the_maps_of_its_network(
    entry: Entry, form: str, small: None, tmp_path: Path
) -> None:
    size = released.SMALL[entry.architecture_name]
    tensors = released.encoder(entry, size)
    content = released.full(entry, tensors, size) if form == 'full' else {'state_dict': tensors}
    torch.save(content, tmp_path / 'x.pth')
    model = entry.architecture.build(len(entry.bands)).eval()
    bands = select_bands(entry.bands, None)
    load_encoder(model, read_encoder(tmp_path / 'x.pth', entry), entry, bands, 'x.pth')
    image = image_for(entry)
    wanted = list(entry.architecture.out_indices)
    found = model.forward_intermediates(image, indices=wanted, intermediates_only=True)
    expected = reference.maps_of(entry, tensors, size, image, wanted)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)
        assert b.std() > 0.1


@every_entry
def test_nothing_of_a_full_checkpoint_is_lost(entry: Entry, tmp_path: Path) -> None:
    size = released.SMALL[entry.architecture_name]
    tensors = released.encoder(entry, size)
    content = released.full(entry, tensors, size)
    torch.save(content, tmp_path / 'x.pth')
    checkpoint = read_checkpoint(tmp_path / 'x.pth')
    assert (checkpoint.layout, checkpoint.epoch, checkpoint.is_full) == (entry.method, 99, True)
    parts = checkpoint.parts
    assert parts.encoder.keys() == tensors.keys()
    networks = [
        content[key] for key in ('state_dict', 'model', 'teacher', 'student') if key in content
    ]
    count = sum(len(network) for network in networks)  # type: ignore[arg-type]
    count -= entry.method == 'data2vec'  # The index, which follows from the grid.
    kept = (parts.encoder, parts.decoder, parts.head, parts.other)
    assert sum(len(part) for part in kept) == count
    assert (len(parts.decoder) > 0) == (entry.method == 'mae')
    heads = {
        'moco-v2': 'fc.2.weight',
        'moco-v3': 'predictor.0.weight',
        'dino': 'head.last_layer.weight_v',
        'data2vec': 'lm_head.weight',
    }
    assert entry.method == 'mae' or heads[entry.method] in parts.head


@every_entry
def test_real_sizes_have_the_keys_and_shapes_of_the_release(entry: Entry) -> None:
    size = released.REAL[entry.architecture_name]
    with torch.device('meta'):
        model = entry.architecture.build(len(entry.bands))
        content = released.full(entry, released.encoder(entry, size), size)
        image = image_for_meta(entry)
        maps = model.forward_intermediates(
            image, indices=list(entry.architecture.out_indices), intermediates_only=True
        )
    if entry.method == 'dino':
        parts = dino(content['teacher'], content['student'])  # type: ignore[arg-type]
    else:
        state = content.get('state_dict', content.get('model'))
        assert isinstance(state, dict)
        assert recognise(list(state)) == entry.method
        parts = BY_METHOD[entry.method](state)
    assert {key: value.shape for key, value in parts.encoder.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    if size.heads:
        assert model.blocks[0].attn.num_heads == HEADS[entry.architecture.title[4].lower()]
    channels = entry.architecture.out_channels
    assert [m.shape[1] for m in maps] == [channels[i] for i in entry.architecture.out_indices]


def image_for_meta(entry: Entry) -> Tensor:
    return torch.empty(1, len(entry.bands), 224, 224)


def test_numbers_of_parameters_are_those_known() -> None:
    with torch.device('meta'):
        models = {b.__name__: b() for b in registration.WEIGHTS}
    counts = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    # Of the fact sheet: 22.58 M in the pretrained BEiT with its 13 bands (and a mask token).
    assert round(counts['ssl4eo_s12_beit_small_patch16_224'] / 1e6, 1) == 22.6
    assert counts['ssl4eo_s12_resnet50'] == 23_508_032 + 10 * 64 * 49
    assert counts['ssl4eo_s12_resnet18'] == 11_176_512 + 10 * 64 * 49
    assert round(counts['ssl4eo_s12_vit_huge_patch14_224'] / 1e6) == 633
