"""Conversions that are stopped, repeated, mixed up or fed with damaged files."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport, Job, convert
from torchgeo_copernicus.datasets.conversion.conversion_manifest import ConversionManifest

dask = pytest.importorskip('dask', reason='conversions need the extra `convert`')


def copy(source: Path, log: Path, path: Path) -> Mapping[str, int]:
    """Copy a file in capitals; raise or die where its text says so."""
    text = source.read_text()
    path.write_text('half')
    if text == 'raise':
        raise ValueError(f'{source} is damaged')
    if text == 'die':
        os._exit(9)
    path.write_text(text.upper())
    with log.open('a') as file:
        file.write(f'{source.name}\n')
    return {'letters': len(text)}


def stamp(source: Path) -> dict[str, tuple[int, int]]:
    stat = source.stat()
    return {source.name: (stat.st_size, stat.st_mtime_ns)}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a', 'b', 'c'):
        (folder / name).write_text(f'text {name}')
    return folder


def jobs(folder: Path, names: str = 'abc', **options: object) -> list[Job]:
    log = folder.parent / 'log'
    return [
        Job(
            f'out/{name}',
            'out/',
            options,
            partial(stamp, folder / name),
            partial(copy, folder / name, log),
        )
        for name in names
    ]


def run(sources: Path, names: str = 'abc', **options: object) -> ConversionReport:
    # One after the other: the order within a phase is up to Dask.
    phases = [[job] for job in jobs(sources, names, **options)]
    return convert(phases, sources.parent / 'to', scheduler='synchronous', progress=False)


def made_so_far(sources: Path) -> list[str]:
    return (sources.parent / 'log').read_text().split()


def out(sources: Path, name: str) -> Path:
    return sources.parent / 'to' / 'out' / name


def test_a_second_run_makes_nothing_again(sources: Path) -> None:
    first = run(sources, codec='lz4')
    assert first == ConversionReport(('out/a', 'out/b', 'out/c'), (), {'letters': 18})
    assert out(sources, 'b').read_text() == 'TEXT B'
    second = run(sources, codec='lz4')
    assert second == ConversionReport((), first.written, {'letters': 18})
    assert made_so_far(sources) == ['a', 'b', 'c']


def flip(path: Path) -> None:
    path.write_text('Text B')


@pytest.mark.parametrize('damage', [flip, Path.unlink, partial(Path.write_text, data='T')])
def test_an_output_that_is_damaged_or_gone_is_made_again(
    sources: Path, damage: Callable[[Path], object]
) -> None:
    run(sources)
    damage(out(sources, 'b'))
    assert run(sources).written == ('out/b',)
    assert out(sources, 'b').read_text() == 'TEXT B'


def test_a_changed_source_is_converted_again(sources: Path) -> None:
    run(sources)
    (sources / 'c').write_text('other c')
    assert run(sources).written == ('out/c',)
    assert out(sources, 'c').read_text() == 'OTHER C'


def test_a_file_of_the_user_is_never_overwritten(sources: Path) -> None:
    out(sources, 'b').parent.mkdir(parents=True)
    out(sources, 'b').write_text('mine')
    with pytest.raises(ValueError, match=r'out/b exists, but conversion\.json does not list it'):
        run(sources)
    assert out(sources, 'b').read_text() == 'mine'
    assert not out(sources, 'a').exists()


def test_files_of_other_options_are_not_mixed(sources: Path) -> None:
    run(sources, codec='lz4', places=[1, 2])
    run(sources, codec='lz4', places=(1, 2))
    with pytest.raises(ValueError, match='made with other codec and places'):
        run(sources, codec='zstd', places=[1, 3])
    assert len(made_so_far(sources)) == 3


def test_a_shorter_conversion_does_not_leave_files_of_a_longer_one(sources: Path) -> None:
    run(sources)
    with pytest.raises(ValueError, match=r'lists 1 files .* would not make, such as out/c'):
        run(sources, 'ab')


def test_a_failure_leaves_no_half_file_and_keeps_what_was_done(sources: Path) -> None:
    (sources / 'b').write_text('raise')
    with pytest.raises(ValueError, match='in/b is damaged'):
        run(sources)
    assert sorted(path.name for path in out(sources, 'b').parent.iterdir()) == ['a']
    (sources / 'b').write_text('text b')
    assert run(sources).kept == ('out/a',)


def test_a_killed_run_goes_on_where_it_was(sources: Path) -> None:
    (sources / 'b').write_text('die')
    process = multiprocessing.get_context('fork').Process(target=run, args=(sources,))
    process.start()
    process.join()
    assert process.exitcode == 9
    # Not known to the manifest yet, and still not taken for a file of the user.
    assert not (sources.parent / 'to' / 'conversion.json').exists()
    assert out(sources, 'b.converting').exists()
    (sources / 'b').write_text('text b')
    assert run(sources) == ConversionReport(('out/b', 'out/c'), ('out/a',), {'letters': 18})
    assert made_so_far(sources) == ['a', 'b', 'c']
    assert sorted(path.name for path in out(sources, 'b').parent.iterdir()) == ['a', 'b', 'c']


def test_a_phase_starts_when_the_one_before_is_done(sources: Path) -> None:
    a, b, c = jobs(sources)
    (sources / 'a').write_text('raise')
    with pytest.raises(ValueError, match='in/a is damaged'):
        convert([[c, a], [b]], sources.parent / 'to', workers=2, progress=False)
    assert not out(sources, 'b').exists()


@pytest.mark.parametrize('scheduler', ['threads', 'processes', None])
def test_every_scheduler_makes_the_same(sources: Path, scheduler: str | None) -> None:
    to = sources.parent / 'to'
    # Forked, because processes that are spawned import everything anew.
    with dask.config.set({'multiprocessing.context': 'fork'}):
        report = convert([jobs(sources)], to, scheduler=scheduler, workers=2, progress=False)
    assert report == ConversionReport(('out/a', 'out/b', 'out/c'), (), {'letters': 18})
    document = json.loads((to / 'conversion.json').read_text())
    assert list(document['outputs']) == ['out/a', 'out/b', 'out/c']
    assert len(ConversionManifest(to)) == 3


def test_a_failure_in_another_process_is_one_line(sources: Path) -> None:
    (sources / 'b').write_text('raise')
    with (
        dask.config.set({'multiprocessing.context': 'fork'}),
        pytest.raises(ValueError, match=r'in/b is damaged$') as caught,
    ):
        convert([jobs(sources)], sources.parent / 'to', scheduler='processes', progress=False)
    assert '\n' not in str(caught.value)


def test_workers_of_a_cluster_make_the_same(sources: Path) -> None:
    distributed = pytest.importorskip('distributed', reason='needs dask.distributed')
    to = sources.parent / 'to'
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client:
        with pytest.raises(ValueError, match='None with a client'):
            convert([jobs(sources)], to, scheduler=client, workers=2)
        report = convert([jobs(sources)], to, scheduler=client, progress=False)
        assert report.written == ('out/a', 'out/b', 'out/c')
        # The client is what Dask is set to now.
        assert convert([jobs(sources)], to, progress=False).kept == report.written
        (sources / 'c').write_text('raise')
        with pytest.raises(ValueError, match='in/c is damaged'):
            convert([jobs(sources)], to, progress=False)


def test_the_bar_counts_files(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert([jobs(sources)], sources.parent / 'to', scheduler='synchronous')
    assert '3/3' in capsys.readouterr().err


def test_two_runs_do_not_write_to_one_folder(sources: Path) -> None:
    run(sources)
    with (
        FileLock(sources.parent / 'to' / '.conversion' / 'lock'),
        pytest.raises(ValueError, match='Another conversion is writing'),
    ):
        run(sources)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"version": 1', 'is damaged'),
        ('[]', 'no JSON object'),
        ('{"version": 2, "outputs": {}}', 'version 2'),
        ('{"version": 1, "outputs": []}', 'lists no outputs'),
        ('{"version": 1, "outputs": {"out/a": {"bytes": 3}}}', 'describes no file'),
    ],
)
def test_a_damaged_manifest_is_named(sources: Path, text: str, message: str) -> None:
    run(sources)
    (sources.parent / 'to' / 'conversion.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        run(sources)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [({'scheduler': 'fast'}, "scheduler is 'fast'"), ({'workers': 0}, 'workers is 0')],
)
def test_an_impossible_argument_is_refused(
    sources: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert([jobs(sources)], sources.parent / 'to', **arguments)  # type: ignore[arg-type]


def test_a_conversion_of_nothing_or_of_one_name_twice_is_refused(sources: Path) -> None:
    for wrong in ('', 'aa'):
        with pytest.raises(ValueError, match='at least one file, each of another name'):
            run(sources, wrong)


def test_without_dask_the_extra_is_named(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'dask', None)
    with pytest.raises(ValueError, match=r'torchgeo-copernicus\[convert\]'):
        run(sources)
