"""The bridge to TerraTorch: backbones, neck, decoders and tasks.

Importing this package imports nothing of TerraTorch; `registration` and `tasks` do.
"""
