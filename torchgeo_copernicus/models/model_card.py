"""The page that travels with an exported encoder: what goes in, what comes out, how to run it."""

from __future__ import annotations

from torchgeo_copernicus.models.specialization import Specialization
from torchgeo_copernicus.sensors import SENSORS, Sensor

_METADATA_ROWS = (
    'longitude (deg)',
    'latitude (deg)',
    'days since 1970-01-01',
    'ground sampling distance (m)',
)


def model_card(specialization: Specialization, title: str, origin: str, license: str) -> str:
    """Return a model card in Markdown, with the front matter Hugging Face reads.

    Args:
        specialization: What the encoder was specialised to.
        title: Name of the model.
        origin: Where its weights come from.
        license: Of the weights, such as `cc-by-4.0`.
    """
    s = specialization
    height, width = s.image_size
    told = s.metadata == 'input'
    lines = [
        '---',
        f'license: {license}',
        'library_name: torchgeo-copernicus',
        'tags: [remote-sensing, sentinel, copernicus-fm]',
        '---',
        '',
        f'# {title}',
        '',
        (
            f'Copernicus-FM (arXiv:2503.11849), specialised to {len(s.channels)} channels of '
            f'{height} x {width} px with patches of {s.kernel_size} px. Weights: {origin}.'
        ),
        '',
        '## Input',
        '',
        (
            f'- `image`: float32 `[batch, {len(s.channels)}, {height}, {width}]`, normalised per channel as '
            '`(value - mean) / deviation`:'
        ),
        '',
        *_channel_table(s.channels),
        '',
    ]
    if told:
        lines += [
            (
                f'- `metadata`: float32 `[batch, 4]`: {", ".join(_METADATA_ROWS)}; NaN for unknown. Values '
                'are not checked.'
            )
        ]
    elif s.metadata == 'unknown':
        lines += ['No metadata: place, date and scale are unknown to it.']
    else:
        fixed = ', '.join(
            f'{name} {value:g}' for name, value in zip(_METADATA_ROWS, s.metadata, strict=True)
        )
        lines += [f'No metadata: every image is taken to have {fixed}.']
    pooled = 'the class token' if s.global_pool == 'token' else 'the mean patch token, normalised'
    output = f'`[batch, {s.num_classes}]`, logits' if s.num_classes else f'`[batch, {s.embed_dim}]`'
    arguments = '{"image": image, "metadata": metadata}' if told else '{"image": image}'
    return '\n'.join(
        [
            *lines,
            '',
            '## Output',
            '',
            f'- `embedding`: float32 {output}, from {pooled}.',
            '',
            '## Use',
            '',
            '```python',
            'import onnxruntime',
            '',
            'session = onnxruntime.InferenceSession("model.onnx")',
            f'(embedding,) = session.run(None, {arguments})',
            '```',
            '',
            'or in PyTorch:',
            '',
            '```python',
            'from torchgeo_copernicus.models import load_specialized',
            '',
            'model = load_specialized("model.safetensors")',
            f'embedding = model(image{", metadata" if told else ""})',
            '```',
            '',
        ]
    )


def _channel_table(channels: tuple[str, ...]) -> list[str]:
    sensor = _sensor_of(channels)
    if sensor is None:
        return [f'  {", ".join(channels)}, with the statistics the encoder was trained with.']
    mean, std = sensor.statistics.of(sensor.select(channels))
    rows = [f'| {name} | {m:g} | {s:g} |' for name, m, s in zip(channels, mean, std, strict=True)]
    unit, source = sensor.statistics.unit, sensor.statistics.source
    return [
        f'{sensor.title}, in {unit}; statistics of {source}. A model fine-tuned with others needs those.',
        '',
        '| channel | mean | deviation |',
        '|---|---|---|',
        *rows,
    ]


def _sensor_of(channels: tuple[str, ...]) -> Sensor | None:
    for sensor in SENSORS.values():
        if set(channels) <= set(sensor.band_names):
            return sensor
    return None
