"""Names and patterns of shards; nothing behind them is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.pretrain.shards.shard_names import expand_braces, shard_names


def test_braces_stand_for_what_a_shell_makes_of_them() -> None:
    assert expand_braces('a-{08..11}.tar') == [f'a-{n}.tar' for n in ('08', '09', '10', '11')]
    assert expand_braces('{x,y}/{0..1}.tar') == ['x/0.tar', 'x/1.tar', 'y/0.tar', 'y/1.tar']
    assert expand_braces('plain.tar') == ['plain.tar']


@pytest.mark.parametrize(
    ('name', 'count', 'last'),
    [
        ('220k_aligned', 2256, 'ssl4eo_s_220k_aligned/example-002255.tar'),
        ('220k_310k_union', 955, 'ssl4eo_s_220k_310k_union/example-003210.tar'),
        ('310k_union', 3211, 'ssl4eo_s_220k_310k_union/example-003210.tar'),
        ('100_example', 10, 'example_100_webdataset/example-000009.tar'),
    ],
)
def test_published_sets_have_all_of_their_shards(name: str, count: int, last: str) -> None:
    names = shard_names(name)
    assert len(names) == count
    assert names[-1].endswith(last)
    assert all(n.startswith('hf://datasets/wangyi111/Copernicus-Pretrain@d17e1098') for n in names)


def test_folders_paths_and_lists_are_understood(tmp_path: Path) -> None:
    for name in ('b.tar', 'a.tar', 'notes.txt'):
        (tmp_path / name).touch()
    both = (f'{tmp_path}/a.tar', f'{tmp_path}/b.tar')
    assert shard_names(tmp_path) == both
    assert shard_names(str(tmp_path / '{a,b}.tar')) == both
    assert shard_names([tmp_path / 'a.tar', str(tmp_path / 'b.tar')]) == both
    assert shard_names('a.tar') == ('./a.tar',)
    assert shard_names('s3://bucket/{1..2}.tar') == ('s3://bucket/1.tar', 's3://bucket/2.tar')


@pytest.mark.parametrize(
    ('shards', 'words'),
    [
        ('pipe:cat /etc/passwd', 'commands are not run'),
        ('pipe:cat a.tar', 'commands are not run'),
        ('pipe://cat a.tar', 'no address'),
        ('file:///a.tar', "Allowed: .'http'"),
        ('ftp://host/a.tar', 'no address'),
        ('https://', 'no address'),
        ('https://host/a.tar?token=1', 'no address'),
        ('simplecache::https://host/a.tar', 'neither a path|no address'),
        ('https://host/folder', 'does not end in .tar'),
        ('210k_aligned', "one of .'220k_aligned'"),
        ('a-{0..3.tar', 'do not match'),
        ('a-{{0..3}}.tar', 'do not match'),
        ('a-0}.tar', 'without'),
        ('a-{3..0}.tar', 'backwards'),
        ('a-{x}.tar', 'neither a range'),
        ('a-{$(touch x)}.tar', 'neither a range'),
        ('a-{0..999999999}.tar', 'more than 100000'),
        ('a-{0..9999}{0..9999}.tar', 'more than 100000'),
        (['a.tar', 'a.tar'], 'come twice'),
        ('a-{0,0}.tar', 'come twice'),
        ([], 'give a path'),
        (5, 'give a path'),
        ([5], 'neither a path'),
    ],
)
def test_what_is_no_shard_is_refused(shards: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        shard_names(shards)  # type: ignore[arg-type]


def test_a_folder_without_shards_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='has no shards'):
        shard_names(tmp_path)
