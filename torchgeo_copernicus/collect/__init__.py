"""Collection of own cells and places from Google Earth Engine, as Copernicus-Pretrain was collected."""
