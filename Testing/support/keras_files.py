"""Keras HDF5 files written by h5py as Keras 2 writes them, and the weights of our networks under its names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from torch import Tensor, nn
from VoxelMorphLib.networks.dense import RegistrationNetwork
from VoxelMorphLib.networks.joint import HyperVxmJoint
from VoxelMorphLib.networks.legacy_template import LegacyTemplateCreation

#: The configuration of a file of the original's VxmDense.
DENSE_CONFIG: dict[str, Any] = {
    "inshape": [16, 16],
    "nb_unet_features": [[4, 8], [8, 8, 4]],
    "nb_unet_levels": None,
    "unet_feat_mult": 1,
    "nb_unet_conv_per_level": 1,
    "int_steps": 7,
    "svf_resolution": 1,
    "int_resolution": 2,
    "int_downsize": None,
    "bidir": False,
    "use_probs": False,
    "src_feats": 1,
    "trg_feats": 1,
    "unet_half_res": False,
    "input_model": None,
    "hyp_model": None,
    "fill_value": None,
    "reg_field": "preintegrated",
    "name": "vxm_dense",
}

Arrays = dict[str, np.ndarray]


def write_keras(
    path: Path,
    layers: dict[str, Arrays],
    class_name: str | None = None,
    config: Any = None,
    weightless: Iterable[str] = (),
    as_bytes: bool = True,
) -> Path:
    """Write a full model, or weights only when there is no class name.

    Args:
        path: of the new file.
        layers: arrays of every layer by "kernel", "bias"; a name with slashes goes into a nested model.
        class_name, config: of the model.
        weightless: names of layers without weights, listed before the others.
        as_bytes: whether names are stored as bytes, as old versions do, or as text.
    """

    def names(values: Iterable[str]) -> Any:
        values = list(values)
        if not values:
            return np.array([])
        return np.array([v.encode() for v in values]) if as_bytes else np.array(values, dtype=h5py.string_dtype())

    with h5py.File(path, "w") as file:
        root = file
        if class_name is not None:
            file.attrs["model_config"] = json.dumps({"class_name": class_name, "config": config})
            root = file.create_group("model_weights")
        listed = [*weightless, *dict.fromkeys(name.split("/")[0] for name in layers)]
        root.attrs["layer_names"] = names(listed)
        for name in listed:
            own = {key: arrays for key, arrays in layers.items() if key.split("/")[0] == name}
            group = root.create_group(name)
            weights = [f"{key.split('/')[-1]}/{short}:0" for key, arrays in own.items() for short in arrays]
            group.attrs["weight_names"] = names(weights)
            for weight, array in zip(weights, [a for arrays in own.values() for a in arrays.values()]):
                group.create_dataset(weight, data=array)
    return path


def keras_arrays(convolution: nn.Module) -> Arrays:
    """Kernel and bias with channels last."""
    return {"kernel": _channels_last(convolution.weight), "bias": convolution.bias.detach().numpy()}


def dense_layers(network: RegistrationNetwork, name: str = "vxm_dense") -> dict[str, Arrays]:
    """The layers of a VxmDense under the original's names and in its order."""
    unet, depth = network.unet, len(network.unet.decoder)
    blocks = {f"enc_conv_{level}_{i}": b for level, blocks in enumerate(unet.encoder) for i, b in enumerate(blocks)}
    for level, level_blocks in enumerate(unet.decoder):
        blocks.update({f"dec_conv_{depth - 1 - level}_{i}": b for i, b in enumerate(level_blocks)})
    blocks.update({f"dec_final_conv_{i}": block for i, block in enumerate(unet.final)})
    layers = {f"{name}_unet_{key}": keras_arrays(block.convolution) for key, block in blocks.items()}
    layers[f"{name}_flow"] = keras_arrays(network.flow)
    if network.logvar is not None:
        layers[f"{name}_log_sigma"] = keras_arrays(network.logvar)
    return layers


def legacy_layers(network: RegistrationNetwork, first: int = 31) -> dict[str, Arrays]:
    """The layers of a network of 2018 under automatic names that start at any number."""
    blocks = [*network.unet.encoder, *network.unet.decoder]
    kind = f"conv{network.unet.ndims}d"
    layers = {f"{kind}_{first + i}": keras_arrays(block.convolution) for i, block in enumerate(blocks)}
    layers["flow"] = keras_arrays(network.flow)
    if network.logvar is not None:
        layers["log_sigma"] = keras_arrays(network.logvar)
    return layers


def legacy_template_layers(network: RegistrationNetwork) -> dict[str, Arrays]:
    """The layers of a template network of 2019 under the names that its training scripts gave them."""
    mean = network.mean_stream
    stored = {"mean": np.moveaxis(mean.mean.numpy(), 0, -1), "count": mean.count.numpy()}
    rest = {**legacy_layers(network), "mean_stream": stored}
    if isinstance(network, LegacyTemplateCreation):
        return {"atlas": {"kernel": np.moveaxis(network.template.detach().numpy(), 0, -1)}, **rest}
    made, levels = network.generator, len(network.generator.decoder) + 1
    features, *coarse = made.coarse
    kernel, bias = made.dense.weight.detach().numpy(), made.dense.bias.detach().numpy()
    layers = {
        "dense_1": {
            "kernel": np.moveaxis(kernel.T.reshape(-1, features, *coarse), 1, -1).reshape(len(kernel.T), -1),
            "bias": np.moveaxis(bias.reshape(features, *coarse), 0, -1).reshape(-1),
        }
    }
    for level, convolutions in enumerate(made.decoder):
        for i, convolution in enumerate(convolutions):
            layers[f"atlasmodel_conv_uparm_{levels + level}_{i}"] = keras_arrays(convolution)
    layers["atlasmodel_likelihood"] = keras_arrays(made.likelihood)
    layers.update({f"atlas_ec_{i}": keras_arrays(convolution) for i, convolution in enumerate(made.extra)})
    return {**layers, "atlasmodel_c": keras_arrays(made.image), **rest}


def _channels_last(weight: Tensor) -> np.ndarray:
    return np.moveaxis(weight.detach().numpy(), (0, 1), (-1, -2))


def synthmorph_layers(network: nn.Module, first: int = 7) -> dict[str, Arrays]:
    """The layers of a detector or a joint network as FreeSurfer's files nest and number them, from any number."""
    layers, hyper = {}, {}
    affine = network.affine if isinstance(network, HyperVxmJoint) else network
    if affine is not None:
        part = "vxm_affine_feature_detector" if affine is not network else "model_1"
        blocks = affine.unet.blocks
        kind = f"conv{affine.ndims}d"
        layers = {f"{part}/{kind}_{first + i}": keras_arrays(block.convolution) for i, block in enumerate(blocks)}
    if affine is network:
        return layers
    if network.hyp_num:
        for i, layer in enumerate(network.deform.hidden):
            hyper[f"dense_{first + i}"] = {
                "kernel": layer.weight.detach().numpy().T,
                "bias": layer.bias.detach().numpy(),
            }
        pairs = zip(network.deform.generated[::2], network.deform.generated[1::2])
        for i, (kernel, bias) in enumerate(pairs):
            hyper[f"hyper_conv_from_dense_{first + i}"] = _generated_arrays(kernel, bias)
    else:
        start, kind = first + len(layers), f"conv{network.ndims}d"
        blocks = [*network.deform.unet.blocks]
        convolutions = [*(block.convolution for block in blocks), network.deform.flow]
        hyper = {f"{kind}_{start + i}": keras_arrays(module) for i, module in enumerate(convolutions)}
    return {**{f"model_3/{name}": arrays for name, arrays in hyper.items()}, **layers}


def _generated_arrays(kernel: nn.Module, bias: nn.Module) -> Arrays:
    def flat(tensor: Tensor, leading: int) -> np.ndarray:
        moved = np.moveaxis(tensor.detach().numpy(), (leading, leading + 1), (-1, -2))
        return moved.reshape(*moved.shape[:leading], -1)

    return {
        "hyperkernel_kernel": flat(kernel.weight, 1),
        "hyperkernel_bias": flat(kernel.bias, 0),
        "hyperbias_kernel": bias.weight.detach().numpy(),
        "hyperbias_bias": bias.bias.detach().numpy(),
    }
