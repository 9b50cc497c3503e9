"""Zarr groups of version 2 in zip files, as SSL4EO-S12 v1.1 has them: from the bytes up."""
