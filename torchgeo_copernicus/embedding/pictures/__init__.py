"""Pictures of maps of embeddings: colours by PCA, places alike, and an interactive page."""

from torchgeo_copernicus.embedding.pictures.html_page import write_page
from torchgeo_copernicus.embedding.pictures.map_colours import MapColours, fit_colours
from torchgeo_copernicus.embedding.pictures.pca_map import draw_pca_map
from torchgeo_copernicus.embedding.pictures.similar_places import similar_places
from torchgeo_copernicus.embedding.pictures.similarity import similarity_to
from torchgeo_copernicus.embedding.pictures.similarity_map import draw_similarity_map

__all__ = (
    'MapColours',
    'draw_pca_map',
    'draw_similarity_map',
    'fit_colours',
    'similar_places',
    'similarity_to',
    'write_page',
)
