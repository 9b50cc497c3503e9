"""Embeddings of images: produced, stored and used."""
