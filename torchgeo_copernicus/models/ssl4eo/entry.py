"""The form of a declaration: all that is known of one released training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torchgeo_copernicus.models.ssl4eo.architecture import ARCHITECTURES, Architecture
from torchgeo_copernicus.models.ssl4eo.normalisation import allowed_normalisations
from torchgeo_copernicus.models.ssl4eo.source import Form, ReleasedFile
from torchgeo_copernicus.models.ssl4eo.transforms import SSL4EOTransforms
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

Method = Literal['moco-v2', 'moco-v3', 'dino', 'mae', 'data2vec']

#: What each input is, by its name in the enums: the bands in the order of the channels.
INPUTS: Mapping[str, tuple[str, ...]] = {
    'SENTINEL2_L1C_ALL': S2_TOA.band_names,
    'SENTINEL2_L1C_RGB': S2_TOA.rgb,
    'SENTINEL1_GRD': S1_GRD.band_names,
}


@dataclass(frozen=True)
class Entry:
    """One training run, of which up to three files are released.

    Attributes:
        name: Name of the backbone in TerraTorch.
        architecture_name: Key of `ARCHITECTURES`.
        method: How it was pretrained.
        input: Key of `INPUTS`.
        epochs: For how many epochs.
        files: Its files, the one to take first first.
        published: Results of fine-tuning in the README (%), by dataset.
        torchgeo: Name of the same weights in TorchGeo, whose transforms are not those of the training.
        note: What else to know.
        license: Of the weights.
    """

    name: str
    architecture_name: str
    method: Method
    input: str
    epochs: int
    files: tuple[ReleasedFile, ...]
    published: Mapping[str, float] = field(default_factory=dict, hash=False)
    torchgeo: str | None = None
    note: str = ''
    license: str = 'CC-BY-4.0'

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return ARCHITECTURES[self.architecture_name]

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands in the order of the channels."""
        return INPUTS[self.input]

    @property
    def member(self) -> str:
        """Name of the member of the weight enum."""
        method = self.method.partition('-')[0].upper()
        # Two runs differ in nothing but their length.
        length = '_EP200' if self.epochs == 200 and method == 'MOCO' else ''
        return f'{self.input}_{method}{length}'

    @property
    def transforms(self) -> SSL4EOTransforms:
        """The transforms of the pretraining, at the sizes of the evaluation."""
        return SSL4EOTransforms(self.bands, allowed_normalisations(self.bands)[0])

    def of_form(self, form: Form | None) -> tuple[ReleasedFile, ...]:
        """Return the files of a form, or all.

        Raises:
            ValueError: If there is none.
        """
        found = tuple(file for file in self.files if form in (None, file.form))
        if not found:
            forms = sorted({file.form for file in self.files})
            raise ValueError(f'{self.name}: form is {form!r}; released are {forms}.')
        return found
