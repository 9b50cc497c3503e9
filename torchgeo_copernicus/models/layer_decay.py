"""Layer-wise learning rates: the nearer a layer is to the pixels, the less it changes in fine-tuning."""

from __future__ import annotations

from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]
from torch import nn

from torchgeo_copernicus.models.copernicus_fm import CopernicusFM

ParameterGroup = dict[str, float | list[nn.Parameter]]


def layer_decay_groups(
    model: nn.Module, lr: float, layer_decay: float, weight_decay: float
) -> list[ParameterGroup]:
    """Return parameter groups for an optimizer.

    The head, and everything around the encoder, has the rate *lr*, the last block *layer_decay* times
    that, and so on down to the embeddings. Parameters of one dimension and the encoder's tokens have no
    weight decay. Frozen parameters are left out. Source: BEiT, arXiv:2106.08254.

    Args:
        model: A model with one `CopernicusFM` in it, or that itself.
        lr: Highest learning rate.
        layer_decay: Factor from a layer to the one before it, above 0 and at most 1.
        weight_decay: Weight decay.

    Raises:
        ValueError: If *layer_decay* is out of range, or there is not exactly one encoder.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f'layer_decay is {layer_decay}; wanted a factor above 0 and at most 1.')
    encoders = [module for module in model.modules() if isinstance(module, CopernicusFM)]
    if len(encoders) != 1:
        raise ValueError(f'layer_decay wants one CopernicusFM encoder, found {len(encoders)}.')
    # timm gives the last layer of the encoder 1, which is its head if it has one.
    highest = lr if encoders[0].num_classes else lr * layer_decay
    groups: list[ParameterGroup] = [
        {
            'params': group['params'],
            'lr': highest * group['lr_scale'],
            'weight_decay': group['weight_decay'],
        }
        for group in param_groups_layer_decay(
            encoders[0],
            weight_decay=weight_decay,
            no_weight_decay_list=encoders[0].no_weight_decay(),
            layer_decay=layer_decay,
        )
    ]
    inside = set(encoders[0].parameters())
    rest = [p for p in model.parameters() if p.requires_grad and p not in inside]
    for parameters, decay in (
        ([p for p in rest if p.ndim > 1], weight_decay),
        ([p for p in rest if p.ndim <= 1], 0.0),
    ):
        if parameters:
            groups.append({'params': parameters, 'lr': lr, 'weight_decay': decay})
    return groups
