"""Does one task: its files appear all at once, or none of them.

Tasks travel to other processes, which log in once each.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from torchgeo_copernicus.collect.client import EarthEngine, Login, request_errors
from torchgeo_copernicus.collect.geotiff import write_image
from torchgeo_copernicus.collect.images import TaskImages, images_of
from torchgeo_copernicus.collect.manifest import WORK, Note, read_note, write_note
from torchgeo_copernicus.collect.recipe import Recipe
from torchgeo_copernicus.collect.request import Asker, Pace, RequestFailed, Retry
from torchgeo_copernicus.collect.task import Task
from torchgeo_copernicus.download import sha256_of


@dataclass(frozen=True)
class Run:
    """What all tasks of a run share.

    Attributes:
        root: Folder to write into.
        login: Returns the client.
        recipe: How images are chosen.
        retry: How often and when to ask again.
        check_hashes: Whether files that are there are read and compared with their hashes.
    """

    root: Path
    login: Login
    recipe: Recipe
    retry: Retry
    check_hashes: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        status: `made`, `kept` (it was there), `empty` (there are no such images) or `failed`.
        message: Why it is empty or failed.
        resampled: How many of its images have other pixels than their scenes.
    """

    status: Literal['made', 'kept', 'empty', 'failed']
    message: str = ''
    resampled: int = 0


@lru_cache(maxsize=8)
def connected(login: Login) -> tuple[EarthEngine, Pace]:
    """Return the client of this process, and the time between its requests."""
    return login(), Pace()


def do_task(task: Task, run: Run) -> Outcome:
    """Do a task unless it is done; failures of requests are returned, not raised.

    Raises:
        OSError: If files cannot be written.
    """
    known = read_note(run.root, task)
    if known is not None and known.is_there(run.root, run.check_hashes):
        if not known.files:
            return Outcome('empty', known.reason)
        return Outcome('kept', resampled=len(known.resampled))
    client, pace = connected(run.login)
    ask = Asker(run.retry, pace, request_errors(client))
    try:
        found = images_of(client, ask, task, run.recipe)
    except (RequestFailed, ValueError) as error:
        return Outcome('failed', str(error))
    note = _write(task, run, found)
    if not note.files:
        return Outcome('empty', note.reason)
    return Outcome('made', resampled=len(note.resampled))


def _write(task: Task, run: Run, found: TaskImages) -> Note:
    folder = run.root / task.folder
    part = run.root / WORK / 'parts' / task.key.replace('/', '_')
    # Left by a run that was killed.
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        product = run.recipe.product(task.modality)
        files = {}
        for image in found.images:
            path = part / f'{image.name}.tif'
            tags = {'collection': product.collection, 'image': image.name}
            write_image(path, image.pixels, found.grid, product.bands, tags)
            files[path.name] = (path.stat().st_size, sha256_of(path))
        resampled = tuple(f'{image.name}.tif' for image in found.images if image.resampled)
        options = run.recipe.options(task.modality)
        note = Note(task.key, task.folder, options, files, found.reason, resampled)
        # Noted first: a folder without a note would be taken for one of the user's.
        write_note(run.root, task, note)
        # Whatever is there is of the note before.
        if folder.exists():
            shutil.rmtree(folder)
        if files:
            folder.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return note
