"""The shards of Copernicus-Pretrain: read in parts without unpickling, streamed in an exact order, written."""
