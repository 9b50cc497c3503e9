"""The GeoTIFFs of Copernicus-Pretrain: published lists of files, images, the dataset."""
