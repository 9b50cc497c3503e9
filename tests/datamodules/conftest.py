"""The data these tests run on."""

from tests.datasets.conftest import bench_copy, bench_root

__all__ = ('bench_copy', 'bench_root')
