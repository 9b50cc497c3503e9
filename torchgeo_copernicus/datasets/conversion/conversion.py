"""Runs a conversion: one task of Dask for each output file, and none twice.

A file appears whole or not at all. `conversion.json` beside the files says of each what it was made of,
with which options, and its SHA-256; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from filelock import FileLock, Timeout
from tqdm import tqdm

from torchgeo_copernicus.datasets.conversion.conversion_manifest import (
    NOTES,
    ConversionManifest,
    Output,
)
from torchgeo_copernicus.download import sha256_of

#: Bytes of a source, and a number that changes with its content, by name.
Stamps = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Job:
    """One file to make. Jobs travel to other processes, so all of it must be picklable.

    Attributes:
        output: Path of the file below the folder of the conversion, with `/`.
        series: What the paths of all files start with that belong together.
        options: What decides its content, besides the sources; plain values of JSON.
        sources: Returns the stamps of what it is made of; called in the task.
        write: Writes it to a path, and returns how often something worth knowing happened, by name.
    """

    output: str
    series: str
    options: Mapping[str, object]
    sources: Callable[[], Stamps]
    write: Callable[[Path], Mapping[str, int]]


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        written: Files that were made.
        kept: Files that were there already, whole and of the same sources and options.
        counts: What happened on the way, summed over all files, those that were kept too.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    def told(self, output: str) -> str:
        """Return a line for people.

        Args:
            output: Folder of the conversion.
        """
        text = f'Wrote {len(self.written)} files to {output}'
        if self.kept:
            text += f'; {len(self.kept)} were there already'
        seen = [f'{count} {name}' for name, count in sorted(self.counts.items()) if count]
        return f'{text}; {", ".join(seen)}' if seen else text


def convert(
    phases: Sequence[Sequence[Job]],
    output: Path | str,
    *,
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Make files, those of a phase at once, phase after phase.

    Args:
        phases: What to make: all files of each series.
        output: Folder to write into; made when absent.
        scheduler: Of Dask: `threads`, `processes`, `synchronous`, or a client of `distributed`, whose
            workers must see the same folders. The one that Dask is set to when None, else threads.
        workers: How many files are made at once; not with a client, which knows its own number.
        progress: Show a bar.

    Raises:
        ValueError: If Dask is missing, another conversion runs in the folder, it holds files of something
            else or of other options, or a source is damaged.
    """
    jobs = [job for phase in phases for job in phase]
    output = Path(output)
    dask = _dask()
    client = _client(scheduler)
    if workers is not None and (client is not None or workers < 1):
        raise ValueError(
            f'workers is {workers}; wanted at least 1, and None with a client of distributed.'
        )
    (output / NOTES).mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / NOTES / 'lock', timeout=0)
    try:
        held = lock.acquire()
    except Timeout as error:
        raise ValueError(f'Another conversion is writing to {output}; wait for it.') from error
    made: dict[str, bool] = {}
    with held:
        manifest = ConversionManifest(output)
        _check(jobs, manifest)
        try:
            with tqdm(total=len(jobs), desc='Converting', disable=not progress) as bar:
                for phase in phases:
                    tasks = [
                        # Within `partial`, so that Dask does not look for its own objects in it.
                        dask.delayed(partial(_make, job, output, manifest.get(job.output)))()
                        for job in phase
                    ]
                    for name, new in _results(tasks, scheduler, client, workers, bar.update):
                        made[name] = new
        finally:
            manifest.collect()
        counts: Counter[str] = Counter()
        for job in jobs:
            counts.update(dict(manifest[job.output].counts))
    return ConversionReport(
        tuple(job.output for job in jobs if made[job.output]),
        tuple(job.output for job in jobs if not made[job.output]),
        dict(counts),
    )


def _make(job: Job, folder: Path, known: Output | None) -> tuple[str, bool]:
    """Make a file unless it is there; return its name, and whether it was made."""
    path = folder / job.output
    sources = _digest(job.sources())
    if known is not None and known.sources == sources and known.is_at(path):
        return job.output, False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.converting')
    part.unlink(missing_ok=True)
    try:
        counts = job.write(part)
        made = Output(job.options, sources, part.stat().st_size, sha256_of(part), counts)
        # Noted first: a file without a note would be taken for one of the user's.
        ConversionManifest.note(folder, job.output, made)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return job.output, True


def _check(jobs: Sequence[Job], manifest: ConversionManifest) -> None:
    """Refuse to touch what this conversion did not make, or made otherwise."""
    names = {job.output for job in jobs}
    if not jobs or len(names) < len(jobs):
        raise ValueError('A conversion needs at least one file, each of another name.')
    series = tuple({job.series for job in jobs})
    other = [name for name in manifest if name.startswith(series) and name not in names]
    if other:
        raise ValueError(
            f'{manifest.path} lists {len(other)} files that this conversion would not make, such as '
            f'{other[0]}. Delete them, or choose another folder.'
        )
    for job in jobs:
        known = manifest.get(job.output)
        if known is None:
            if (manifest.folder / job.output).exists():
                raise ValueError(
                    f'{manifest.folder / job.output} exists, but {manifest.path.name} does not list it. '
                    'Move it away, or choose another folder.'
                )
        elif changed := known.differences(job.options):
            raise ValueError(
                f'{manifest.folder / job.output} was made with other {" and ".join(changed)}. Choose '
                'another folder, or delete this one.'
            )


def _digest(stamps: Stamps) -> str:
    content = json.dumps({name: list(stamp) for name, stamp in stamps.items()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


class _Future(Protocol):
    def result(self) -> tuple[str, bool]: ...


class _Client(Protocol):
    """What is used of a client of `distributed`, which may not be installed."""

    def compute(self, tasks: list[object]) -> list[_Future]: ...

    def cancel(self, futures: list[_Future]) -> None: ...


def _dask() -> ModuleType:
    try:
        return import_module('dask')
    except ModuleNotFoundError as error:
        raise ValueError(
            'Conversions run on Dask, which is not installed: pip install '
            '"torchgeo-copernicus[convert]".'
        ) from error


def _client(scheduler: object) -> _Client | None:
    """Return the client of `distributed` that tasks go to, or None."""
    try:
        get = import_module('dask.base').get_scheduler(scheduler=scheduler)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'scheduler is {scheduler!r}; wanted threads, processes, synchronous, a client of distributed, '
            'or None.'
        ) from error
    owner: _Client | None = getattr(get, '__self__', None)
    return owner if hasattr(owner, 'scheduler_info') else None


def _results(
    tasks: Sequence[object],
    scheduler: object,
    client: _Client | None,
    workers: int | None,
    moved: Callable[[], object],
) -> Iterator[tuple[str, bool]]:
    """Compute tasks and yield what they return, moving a bar as they end."""
    if client is not None:
        futures = client.compute(list(tasks))
        try:
            for future in import_module('distributed').as_completed(futures):
                yield future.result()
                moved()
        finally:
            client.cancel(futures)
        return
    moving = import_module('dask.callbacks').Callback(posttask=lambda *_: moved())
    limit = {} if workers is None else {'num_workers': workers}
    try:
        with moving:
            results = _dask().compute(*tasks, scheduler=scheduler, **limit)
    except (ValueError, OSError) as error:
        # Of another process Dask gives the message with the traceback there.
        original = getattr(error, 'exception', None)
        if isinstance(original, ValueError | OSError):
            raise original from error
        raise
    yield from results
