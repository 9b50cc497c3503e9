"""Checks of a copy of Copernicus-Pretrain."""
