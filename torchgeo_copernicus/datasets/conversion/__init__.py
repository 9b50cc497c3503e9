"""Makes files of other files: on Dask, none twice, each whole or not at all."""
