"""Makes one form of SSL4EO-S12 of another, on Dask."""
