"""SSL4EO-S12 v1.1, both editions: the dataset, batches of it, its download and its check."""
