"""Embeddings of images averaged to one for each cell, on Dask and past memory."""
