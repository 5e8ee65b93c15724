"""The original's networks around VxmDense: their layer names and constructor arguments under this project's names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from math import prod
from typing import Any

from ..core.errors import WeightsError
from .keras_file import KerasFile, KerasLayer
from .keras_unet import dense_arguments, unet_modules

Arguments = dict[str, Any]

#: No image has more voxels; a file that claims so is not believed.
_LARGEST_VOLUME = 2**28

_HYPERKERNEL = "hyperkernel_kernel"
_PARTS = ("encoder", "decoder", "final")

#: (pattern of the original's layer name, path of our module) beside those of the U-net.
_LAYERS = (
    (r"(?:.*_)?hyp_dense_(\d{1,3})", "unet.hidden.{0}"),
    (r"local_param_with_input(?:_\d{1,6})?", "parameter"),
    (r"atlas", "template"),
    (r"mean_stream(?:_\d{1,6})?", "mean_stream"),
    (r"dense(?:_\d{1,6})?", "generator.dense"),
    (r"atlas_decoder_conv_uparm_(\d{1,3})_(\d{1,3})", "generator.decoder.{0}.{1}"),
    (r"atlas_decoder_likelihood", "generator.likelihood"),
    (r"atlas_extra_conv_(\d{1,3})", "generator.extra.{0}"),
    (r"atlas_gen", "generator.image"),
    (r"mu_vol", "mean_head"),
    (r"logsigmasq_vol", "log_variance_head"),
)
#: The convolutions without names of the segmentation with an atlas, in their order.
_ESTIMATORS = ("stats.0", "stats.1", "likelihood")
_AUTOMATIC_NAME = re.compile(r"conv[123]d(?:_\d{1,6})?")


def model_modules(file: KerasFile) -> dict[str, KerasLayer]:
    """The layers by the path of their module, U-net and heads included.

    Raises:
        WeightsError: a layer is unknown.
    """
    inner = unet_modules(file.layers) or {}
    modules = {path if path in ("flow", "logvar") else f"unet.{path}": layer for path, layer in inner.items()}
    if any(_HYPERKERNEL in layer.shapes for layer in modules.values()):
        modules = _generated(modules)
    known, automatic = {layer.name for layer in modules.values()}, 0
    for layer in file.layers:
        if layer.name in known:
            continue
        path = _path(layer.name, file.config)
        if path is None and _AUTOMATIC_NAME.fullmatch(layer.name):
            path, automatic = _ESTIMATORS[min(automatic, 2)], automatic + 1
        if path is None or path in modules:
            raise WeightsError(f"{file.path} has the layer {layer.name[:60]}, which is foreign to {file.class_name}.")
        modules[path] = layer
    return modules


def _generated(modules: dict[str, KerasLayer]) -> dict[str, KerasLayer]:
    """A hypernetwork numbers the tensors that it writes, kernel and bias of one convolution after the other."""

    def place(path: str) -> tuple[int, ...]:
        _, part, *indices = path.split(".")[:-1]
        return (_PARTS.index(part), *(int(index) for index in indices))

    ordered = sorted((path for path in modules if path.startswith("unet.")), key=place)
    numbered = {f"unet.generated.{2 * i}": modules[path] for i, path in enumerate(ordered)}
    return {**numbered, **{path: layer for path, layer in modules.items() if path not in ordered}}


def _path(name: str, config: Arguments) -> str | None:
    for pattern, path in _LAYERS:
        match = re.fullmatch(pattern, name)
        if match:
            numbers = [int(number) for number in match.groups()]
            if "hidden" in path:  # counted from 1
                numbers[0] -= 1
            if "decoder" in path:  # counted on from the levels of an encoder that is not there
                numbers[0] -= config["conv_nb_levels"] if isinstance(config.get("conv_nb_levels"), int) else 0
            return path.format(*numbers)
    return None


def _take(config: Arguments, renamed: dict[str, str], ignored: tuple[str, ...] = ()) -> Arguments:
    """Remove a class's own arguments from the configuration; those with a meaning under our names."""
    for name in ignored:
        config.pop(name, None)
    return {ours: config.pop(theirs) for theirs, ours in renamed.items() if theirs in config}


def _dense(file: KerasFile, config: Arguments) -> Arguments:
    return dense_arguments(dataclasses.replace(file, config=config))


def _with_shape(file: KerasFile, config: Arguments) -> Arguments:
    """The arguments of a VxmDense that knows its shape."""
    arguments = _dense(file, config)
    arguments.pop("ndims")
    shape = config["inshape"]
    if not all(isinstance(n, int) and n > 0 for n in shape) or prod(shape) > _LARGEST_VOLUME:
        raise WeightsError(f"{file.path} is made for images of the shape {str(shape)[:60]}, which is no image.")
    return {"shape": shape, **arguments}


def hyper_arguments(file: KerasFile) -> Arguments:
    """Arguments of a HyperVxmDense."""
    config = dict(file.config)
    own = {"nb_hyp_params": "hyperparameters", "nb_hyp_layers": "hyper_layers", "nb_hyp_units": "hyper_units"}
    return {**_take(config, own), **_dense(file, config)}


def labelled_arguments(file: KerasFile) -> Arguments:
    """Arguments of a VxmDenseSemiSupervisedSeg; labels that move both ways need both directions."""
    config = dict(file.config)
    downsize, both = config.pop("seg_downsize", None), config.pop("bidir_labels", False)
    arguments = _take(config, {"seg_resolution": "label_resolution"}, ("nb_labels",))
    if downsize is not None:
        arguments["label_resolution"] = downsize
    return {**arguments, **_dense(file, config), **({"bidir": True} if both else {})}


def surface_arguments(file: KerasFile) -> Arguments:
    """Arguments of a VxmDenseSemiSupervisedPointCloud; here the numbers of points and labels follow from the data."""
    config = dict(file.config)
    _take(config, {}, ("nb_surface_points", "nb_labels_sample", "sdt_vol_resize", "surf_bidir"))
    return _dense(file, config)


def instance_arguments(file: KerasFile) -> Arguments:
    """Arguments of an InstanceDense."""
    config = dict(file.config)
    multiplier = _take(config, {"mult": "multiplier"}, ("nb_feats",))
    return {**multiplier, **_with_shape(file, config)}


def template_arguments(file: KerasFile) -> Arguments:
    """Arguments of a TemplateCreation."""
    config = dict(file.config)
    own = {"mean_cap": "mean_cap", "atlas_feats": "template_features", "src_feats": "image_features"}
    return {**_take(config, own), **_with_shape(file, config)}


def conditional_arguments(file: KerasFile) -> Arguments:
    """Arguments of a ConditionalTemplateCreation.

    Raises:
        WeightsError: the template comes from segmentations or images, or from another shape.
    """
    config = dict(file.config)
    inputs, coarse = config.pop("pheno_input_shape", [1]), config.pop("conv_image_shape", None)
    own = {
        "atlas_feats": "template_features",
        "src_feats": "image_features",
        "conv_nb_levels": "generator_levels",
        "conv_nb_features": "generator_features",
        "conv_size": "generator_kernel",
        "extra_conv_layers": "extra_convolutions",
        "use_mean_stream": "use_mean_stream",
        "mean_cap": "mean_cap",
    }
    arguments = _take(config, own, ("templcondsi_init",))
    if config.pop("templcondsi", False) or not isinstance(inputs, list) or len(inputs) != 1:
        raise WeightsError(f"{file.path} makes its template from segmentations or images, which this version cannot.")
    arguments = {"attributes": inputs[0], **arguments, **_with_shape(file, config)}
    sizes = [arguments[name] for name in ("generator_levels", "generator_features") if name in arguments]
    if not all(type(size) is int and 0 <= size <= 4096 for size in sizes):
        raise WeightsError(f"{file.path} makes its template with {str(sizes)[:60]} levels and features.")
    if coarse is not None and coarse != coarse_shape(arguments):
        raise WeightsError(
            f"{file.path} makes its template from the shape {str(coarse)[:60]}; this version needs "
            f"{coarse_shape(arguments)}."
        )
    return arguments


def coarse_shape(arguments: Arguments) -> list[int]:
    """(*coarse, features): the output of a conditional template's dense layer, in the original's layout."""
    halvings = max(arguments.get("generator_levels", 0) - 1, 0)
    return [n >> halvings for n in arguments["shape"]] + [arguments.get("generator_features", 32)]


def segmentation_arguments(file: KerasFile) -> Arguments:
    """Arguments of a ProbAtlasSegmentation; here the loss decides what is supervised."""
    config = dict(file.config)
    own = {
        "nb_labels": "labels",
        "init_mu": "means",
        "init_sigma": "sigmas",
        "warp_atlas": "warp_atlas",
        "stat_post_warp": "stats_after_warp",
        "stat_nb_feats": "stat_features",
        "network_stat_weight": "stat_weight",
        "gaussian_likelihood": "gaussian",
    }
    return {**_take(config, own, ("supervised_model",)), **_dense(file, config)}


#: Arguments of our class of the same name, from the configuration of a full model.
MODELS: dict[str, Callable[[KerasFile], Arguments]] = {
    "HyperVxmDense": hyper_arguments,
    "VxmDenseSemiSupervisedSeg": labelled_arguments,
    "VxmDenseSemiSupervisedPointCloud": surface_arguments,
    "InstanceDense": instance_arguments,
    "TemplateCreation": template_arguments,
    "ConditionalTemplateCreation": conditional_arguments,
    "ProbAtlasSegmentation": segmentation_arguments,
}
