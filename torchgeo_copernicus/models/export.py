"""Writes specialised encoders for use elsewhere: ONNX, and safetensors with a model card.

Every file that is written has been read back and compared with the model it came from.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from torchgeo_copernicus.models.checkpoint import load_tensors
from torchgeo_copernicus.models.metadata_vit import MetadataViT
from torchgeo_copernicus.models.specialization import Specialization, StaticViT

Specialized = StaticViT | MetadataViT

_KEY = 'torchgeo_copernicus.specialization'
# How far an ONNX runtime may be from PyTorch: other kernels, other order of sums.
_RTOL, _ATOL = 1e-3, 1e-4


def specialization_of(model: Specialized) -> Specialization:
    """Return what a model was specialised to.

    Raises:
        ValueError: If it does not come from `CopernicusFM.specialize`.
    """
    found = getattr(model, 'specialization', None)
    if not isinstance(found, Specialization):
        raise ValueError(
            f'{type(model).__name__} is no specialised encoder; make one with '
            '`CopernicusFM.specialize(...)`.'
        )
    return found


def example_inputs(model: Specialized, batch: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Return random inputs that fit a model: images, and metadata if it wants them.

    Args:
        model: Specialised encoder.
        batch: Number of images.
        seed: One seed gives the same values every time.
    """
    wanted = specialization_of(model)
    parameter = next(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, len(wanted.channels), *wanted.image_size, generator=generator)
    x = x.to(parameter.device, parameter.dtype)
    if wanted.metadata != 'input':
        return (x,)
    metadata = torch.rand(batch, 4, generator=generator) * 60 + 10
    metadata[-1, 0] = torch.nan
    return x, metadata.to(parameter.device)


def save_specialized(model: Specialized, path: Path | str) -> Path:
    """Write weights as `.safetensors`, with what they are for in the file's header.

    Args:
        model: Specialised encoder.
        path: File to write; replaced when it is there.

    Raises:
        ValueError: If the model is not specialised or was changed in shape or in part of its dtypes since,
            or the name does not end in `.safetensors`.
    """
    path = _checked(path, '.safetensors')
    header = {_KEY: json.dumps(asdict(specialization_of(model)))}
    tensors = {name: value.detach().contiguous() for name, value in model.state_dict().items()}

    def write(there: Path) -> None:
        save_file(tensors, there, header)
        found = load_specialized(there).state_dict()
        for name, value in tensors.items():
            expected = value.cpu()
            if found[name].dtype != expected.dtype or not torch.allclose(
                found[name], expected, rtol=0, atol=0, equal_nan=True
            ):
                raise ValueError(
                    f'{path}: {name} is {value.dtype} and does not read back the same.'
                )

    return _replace(path, write)


def load_specialized(path: Path | str) -> Specialized:
    """Read a model written by `save_specialized`, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no model at {path}.')
    try:
        with safe_open(path, 'pt') as file:
            header = file.metadata() or {}
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f'{path} is no whole .safetensors file ({error}).') from error
    if _KEY not in header:
        raise ValueError(
            f'{path} does not say what it is for; wanted a file written by `save_specialized`. Weights '
            'of an encoder are loaded with `ckpt_path`.'
        )
    try:
        stored = json.loads(header[_KEY])
        stored |= {key: tuple(stored[key]) for key in ('channels', 'image_size')}
        if not isinstance(stored['metadata'], str):
            stored['metadata'] = tuple(stored['metadata'])
        model = Specialization(**stored).build()
        model.to(next(iter(tensors.values()), torch.empty(0)).dtype)
    except (
        ArithmeticError,
        AssertionError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(
            f'{path} says it is for {header[_KEY]}, which is no specialised encoder ({error!r}); it is '
            'damaged, or of another version.'
        ) from error
    load_tensors(model, tensors, str(path))
    return model


def export_onnx(model: Specialized, path: Path | str) -> Path:
    """Write a model as ONNX and compare it with PyTorch at batches of 1 and 3.

    Inputs are `image` `[batch, C, H, W]` and, with `metadata='input'`, `metadata` `[batch, 4]`; the output
    is `embedding` `[batch, D]` (`[batch, num_classes]` with a head). Only the batch is free. Values of
    the metadata are not checked there.

    Args:
        model: Specialised encoder in float32.
        path: File to write; replaced when it is there. Weights above 1.5 GB lie beside it, as `.onnx.data`.

    Raises:
        ValueError: If the model is not specialised or not in float32, the name does not end in `.onnx`,
            or the written model gives other outputs.
        ImportError: If the extra `export` is not installed.
    """
    path = _checked(path, '.onnx')
    wanted = specialization_of(model)
    if next(model.parameters()).dtype != torch.float32:
        raise ValueError('Export float32 models; ONNX runtimes lower the precision themselves.')
    inputs = example_inputs(model, 2)
    names = ['image', 'metadata'][: len(inputs)]

    def write(there: Path) -> None:
        program = torch.onnx.export(
            model.eval(),
            inputs,
            dynamo=True,
            input_names=names,
            output_names=['embedding'],
            dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs),
            verbose=False,
        )
        if program is None:
            raise ValueError('PyTorch wrote no ONNX program.')
        program.model.doc_string = json.dumps(asdict(wanted))
        program.save(there)
        check_onnx(model, there)

    return _replace(path, write)


def check_onnx(model: Specialized, path: Path | str) -> float:
    """Return the largest difference between an ONNX file and the model, run on the CPU.

    Raises:
        ValueError: If it is more than rounding.
        ImportError: If the extra `export` is not installed.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [entry.name for entry in session.get_inputs()]
    largest = 0.0
    for batch in (1, 3):
        inputs = example_inputs(model, batch, seed=batch)
        with torch.inference_mode():
            expected = model(*inputs).cpu()
        (array,) = session.run(
            None, {name: value.cpu().numpy() for name, value in zip(names, inputs, strict=True)}
        )
        found = torch.from_numpy(array)
        if found.shape != expected.shape:
            raise ValueError(
                f'{path} gives {list(found.shape)}, which differs from PyTorch: {list(expected.shape)}.'
            )
        if not torch.allclose(found, expected, rtol=_RTOL, atol=_ATOL):
            raise ValueError(
                f'{path} differs from PyTorch by {(found - expected).abs().max().item():.2g} at batch '
                f'{batch}.'
            )
        largest = max(largest, (found - expected).abs().max().item())
    return largest


def _checked(path: Path | str, suffix: str) -> Path:
    path = Path(path)
    if path.suffix != suffix:
        raise ValueError(f'{path}: the name must end in {suffix}.')
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _replace(path: Path, write: Callable[[Path], None]) -> Path:
    """Write under another name first, so that nobody meets half a file."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.export-') as folder:
        write(Path(folder) / path.name)
        # PyTorch puts the weights of ONNX models above 1.5 GB into a second file; it must be there first.
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.parent / file.name)
    return path
