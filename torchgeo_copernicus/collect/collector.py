"""Collects cells from Google Earth Engine into the folders of the released GeoTIFFs; a run can be stopped.

A task is a modality of one place. What is done and whole is not asked for again; what failed is tried again
with pauses, then listed, and tried anew by the next run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from filelock import FileLock, Timeout
from tqdm import tqdm

from torchgeo_copernicus.collect.client import Login
from torchgeo_copernicus.collect.collect_task import Outcome, Run, connected, do_task
from torchgeo_copernicus.collect.manifest import WORK, read_note
from torchgeo_copernicus.collect.recipe import Recipe
from torchgeo_copernicus.collect.request import Retry
from torchgeo_copernicus.collect.task import Task

# So many tasks go to Dask at once: a graph of all of them would fill the memory.
_BATCH = 512


@dataclass(frozen=True)
class CollectionReport:
    """What a run did, by keys of tasks.

    Attributes:
        made: Tasks whose images were collected.
        kept: Tasks whose images were there already.
        empty: Tasks without images, and why.
        failed: Tasks that failed, and how.
        resampled: How many images of Sentinel-2 have other pixels than their scenes.
    """

    made: tuple[str, ...]
    kept: tuple[str, ...]
    empty: Mapping[str, str]
    failed: Mapping[str, str]
    resampled: int = 0


def collect(
    tasks: Sequence[Task],
    output: Path | str,
    login: Login,
    recipe: Recipe | None = None,
    *,
    retry: Retry | None = None,
    scheduler: object = None,
    workers: int | None = None,
    check_hashes: bool = True,
    give_up_after: int = 100,
    progress: bool = True,
) -> CollectionReport:
    """Collect images of places.

    Args:
        tasks: What to collect; see `tasks_of`.
        output: Folder to write into; made when absent.
        login: Returns the client, such as `EarthEngineLogin('my-project')`; called once in each process.
        recipe: How to choose images; the default is that of Copernicus-Pretrain.
        retry: How often and when to ask again.
        scheduler: Of Dask: `threads`, `processes`, `synchronous`, or a client of `distributed`, whose workers
            must see the same folder. One task after the other, without Dask, when None.
        workers: How many tasks run at once; not with a client, which knows its own number.
        check_hashes: Read files that are there and compare their hashes, not their sizes alone.
        give_up_after: Stop when so many tasks in a row have failed.
        progress: Show a bar.

    Raises:
        ValueError: If an argument is impossible, Dask or Earth Engine's package is missing, the login fails,
            another run is at work in the folder, it has images of something else or of another recipe, or
            too many tasks in a row have failed.
        OSError: If files cannot be written.
    """
    output = Path(output)
    if workers is not None and (scheduler is None or hasattr(scheduler, 'compute') or workers < 1):
        raise ValueError(
            f'workers is {workers} with scheduler {scheduler!r}: wanted at least 1 with threads or processes, '
            'and None without a scheduler or with a client of distributed.'
        )
    if give_up_after < 1:
        raise ValueError(f'give_up_after must be at least 1, got {give_up_after}.')
    run = Run(output, login, recipe or Recipe(), retry or Retry(), check_hashes)
    dask = None if scheduler is None else _dask(scheduler)
    (output / WORK).mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / WORK / 'lock', timeout=0)
    try:
        held = lock.acquire()
    except Timeout as error:
        raise ValueError(f'Another run is collecting into {output}; wait for it.') from error
    outcomes: dict[str, Outcome] = {}
    failures = 0
    with held, tqdm(total=len(tasks), desc='Collecting', disable=not progress) as bar:
        _check(tasks, run)
        # Here first, or several threads would log in at the same time.
        connected(login)
        for task, outcome in _outcomes(tasks, run, dask, scheduler, workers):
            outcomes[task.key] = outcome
            bar.update()
            failures = failures + 1 if outcome.status == 'failed' else 0
            if failures >= give_up_after:
                raise ValueError(
                    f'{failures} tasks in a row failed, at last {task.key}: {outcome.message}. What was '
                    'collected is kept; run again to go on.'
                )
    return _report(outcomes)


def _outcomes(
    tasks: Sequence[Task], run: Run, dask: ModuleType | None, scheduler: object, workers: int | None
) -> Iterator[tuple[Task, Outcome]]:
    if dask is None:
        for task in tasks:
            yield task, do_task(task, run)
        return
    limit = {} if workers is None else {'num_workers': workers}
    for start in range(0, len(tasks), _BATCH):
        batch = tasks[start : start + _BATCH]
        # Within `partial`, so that Dask does not look for its own objects in it.
        delayed = [dask.delayed(partial(do_task, task, run))() for task in batch]
        yield from zip(batch, dask.compute(*delayed, scheduler=scheduler, **limit), strict=True)


def _check(tasks: Sequence[Task], run: Run) -> None:
    """Refuse to touch what this recipe did not make."""
    keys = {task.key for task in tasks}
    if not tasks or len(keys) < len(tasks):
        raise ValueError(
            'A collection needs at least one task, and no place and modality twice; got '
            f'{len(tasks)} tasks of {len(keys)}.'
        )
    for task in tasks:
        known = read_note(run.root, task)
        folder = run.root / task.folder
        if known is None:
            if folder.exists():
                raise ValueError(
                    f'{folder} exists, but was not collected here. Move it away, or choose another folder.'
                )
        elif changed := known.differences(run.recipe.options(task.modality)):
            raise ValueError(
                f'{task.key} was collected with other {" and ".join(changed)} into {run.root}. Choose '
                'another folder.'
            )


def _dask(scheduler: object) -> ModuleType:
    try:
        dask = import_module('dask')
    except ModuleNotFoundError as error:
        raise ValueError(
            'Collecting with a scheduler runs on Dask, which is not installed: pip install '
            '"torchgeo-copernicus[collect]".'
        ) from error
    try:
        import_module('dask.base').get_scheduler(scheduler=scheduler)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'scheduler is {scheduler!r}; wanted threads, processes, synchronous, a client of distributed, '
            'or None.'
        ) from error
    return dask


def _report(outcomes: Mapping[str, Outcome]) -> CollectionReport:
    def told(status: str) -> dict[str, str]:
        return {key: found.message for key, found in outcomes.items() if found.status == status}

    return CollectionReport(
        tuple(told('made')),
        tuple(told('kept')),
        told('empty'),
        told('failed'),
        sum(found.resampled for found in outcomes.values()),
    )
