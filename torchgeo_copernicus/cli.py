"""The command line: `torchgeo-copernicus sample cloud_s2 DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jsonargparse import auto_cli


def sample(
    task: str, directory: str, n: int | None = None, seed: int = 0, size: int | None = None
) -> str:
    """Write a small look-alike of a dataset, in the layout of the real archive.

    Args:
        task: Name of the task, such as cloud_s2 or eurosat_s2.
        directory: Folder that will hold the task's folder; use it as `root`.
        n: Number of images over all splits.
        seed: One seed gives the same images every time.
        size: Side of an image in pixels.
    """
    from torchgeo_copernicus.datasets.lookalike import write_sample

    return f'Wrote {write_sample(task, directory, n, seed, size)}'


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Those of the process when None.
    """
    given = None if arguments is None else list(arguments)
    try:
        message: str = auto_cli({'sample': sample}, args=given, as_positional=True)
    except (ValueError, OSError) as error:
        sys.exit(f'torchgeo-copernicus: {error}')
    print(message)
