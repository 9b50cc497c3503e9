"""SSL4EO-S12 v1.0: the dataset, its download and its check."""
