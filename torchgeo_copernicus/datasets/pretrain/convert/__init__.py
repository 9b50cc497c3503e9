"""From GeoTIFFs of Copernicus-Pretrain to shards and back."""
