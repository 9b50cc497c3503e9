"""Where a measured number comes from: commit, day, machine and versions, for the files under `results/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from torchgeo_copernicus.compat import versions


def provenance() -> dict[str, object]:
    """Return commit (with `-dirty` where files differ from it), day, processor, cores and versions."""
    commit = _git('rev-parse', '--short', 'HEAD')
    changed = commit != 'unknown' and _git('status', '--porcelain', '--untracked-files=no')
    return {
        'commit': f'{commit}-dirty' if changed else commit,
        'date': datetime.now(UTC).date().isoformat(),
        'cpu': _cpu(),
        'cores': os.cpu_count(),
        'versions': versions(),
    }


def save(path: Path, results: object, settings: Mapping[str, object]) -> None:
    """Write results and where they come from.

    Args:
        path: JSON file.
        results: What was measured.
        settings: What they depend on, besides code and machine.
    """
    content = {**provenance(), 'settings': dict(settings), 'results': results}
    path.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def _cpu() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines() if platform.system() == 'Linux' else []
    models = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return models[0] if models else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ['git', *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        # A copy of the files without their history.
        return 'unknown'
