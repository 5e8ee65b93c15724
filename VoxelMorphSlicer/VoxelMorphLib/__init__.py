"""VoxelMorph registration for Python and 3D Slicer: images and transforms, trained networks, registration, training.

    from VoxelMorphLib import register, write_image

    result = register("fixed.nii.gz", "moving.nii.gz")
    write_image(result.moved, "moved.nii.gz")

Networks, layers and losses stand under the names that the field knows, for training loops of one's own:

    from VoxelMorphLib import MSE, Gradient, VxmDense

    network = VxmDense(ndims=2)
    output = network(moving, fixed)  # (B, 1, *shape)
    loss = MSE()(fixed, output.moved) + 0.01 * Gradient()(output.regularised)

What is public stands here. It is imported when it is first used: `import VoxelMorphLib` loads neither torch nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # for editors and type checkers
    from .apply.apply import apply_transform as apply_transform
    from .apply.options import ApplyOptions as ApplyOptions
    from .core.affine import affine_to_displacement as affine_to_displacement
    from .core.affine import fit_affine as fit_affine
    from .core.affine import invert_affine as invert_affine
    from .core.affine_parameters import affine_to_parameters as affine_to_parameters
    from .core.affine_parameters import parameters_to_affine as parameters_to_affine
    from .core.config import NetworkSpace as NetworkSpace
    from .core.config import RegistrationOptions as RegistrationOptions
    from .core.displacement import compose as compose
    from .core.displacement import integrate_velocity as integrate_velocity
    from .core.displacement import invert_displacement as invert_displacement
    from .core.displacement import jacobian_determinant as jacobian_determinant
    from .core.errors import Cancelled as Cancelled
    from .core.errors import VoxelMorphError as VoxelMorphError
    from .core.geometry import Geometry as Geometry
    from .core.image import Image as Image
    from .core.image import LabelMap as LabelMap
    from .core.io.images import read_image as read_image
    from .core.io.images import read_label_map as read_label_map
    from .core.io.images import write_image as write_image
    from .core.io.transforms import read_transform as read_transform
    from .core.io.transforms import write_transform as write_transform
    from .core.losses.anatomy import Dice as Dice
    from .core.losses.anatomy import Surface as Surface
    from .core.losses.anatomy import soft_dice as soft_dice
    from .core.losses.by_name import make_loss as make_loss
    from .core.losses.intensity_difference import MSE as MSE
    from .core.losses.intensity_difference import Tukey as Tukey
    from .core.losses.mind import MIND as MIND
    from .core.losses.mutual_information import MutualInformation as MutualInformation
    from .core.losses.ncc import NCC as NCC
    from .core.losses.regularisers import KL as KL
    from .core.losses.regularisers import Bending as Bending
    from .core.losses.regularisers import Gradient as Gradient
    from .core.metrics import overlap as overlap
    from .core.resize import resize as resize
    from .core.resize import resize_displacement as resize_displacement
    from .core.spatial import warp as warp
    from .core.spatial import warp_points as warp_points
    from .core.transform import AffineTransform as AffineTransform
    from .core.transform import CompositeTransform as CompositeTransform
    from .core.transform import DisplacementField as DisplacementField
    from .core.transform import Transform as Transform
    from .evaluation.evaluate import evaluate_files as evaluate  # noqa: F401, public under this name
    from .networks.affine_detector import VxmAffineFeatureDetector as VxmAffineFeatureDetector
    from .networks.atlas_segmentation import ProbAtlasSegmentation as ProbAtlasSegmentation
    from .networks.conditional_template import ConditionalTemplateCreation as ConditionalTemplateCreation
    from .networks.hyper_dense import HyperVxmDense as HyperVxmDense
    from .networks.instance import InstanceDense as InstanceDense
    from .networks.joint import HyperVxmJoint as HyperVxmJoint
    from .networks.layers import AffineToDenseShift as AffineToDenseShift
    from .networks.layers import ComposeTransform as ComposeTransform
    from .networks.layers import RescaleTransform as RescaleTransform
    from .networks.layers import ResizeTransform as ResizeTransform
    from .networks.layers import SpatialTransformer as SpatialTransformer
    from .networks.layers import VecInt as VecInt
    from .networks.semi_supervised import VxmDenseSemiSupervisedPointCloud as VxmDenseSemiSupervisedPointCloud
    from .networks.semi_supervised import VxmDenseSemiSupervisedSeg as VxmDenseSemiSupervisedSeg
    from .networks.template import TemplateCreation as TemplateCreation
    from .networks.unet import Unet as Unet
    from .registration.register import register_pair as register  # noqa: F401, public under this name
    from .registration.request import RegistrationRequest as RegistrationRequest
    from .registration.result import Registration as Registration
    from .registration.segment import segment_image as segment_image
    from .synth.labels_to_image import LabelsToImage as LabelsToImage
    from .synth.noise import perlin_noise as perlin_noise
    from .synth.shapes import random_shapes as random_shapes
    from .training.recipes import make_config as make_config
    from .training.trainer import train as train
    from .weights.catalogue import load_catalogue as load_catalogue
    from .weights.load import load_network as load_network
    from .weights.saved_dense import VxmDense as VxmDense

#: Where each public name lives: its module, and after a colon its name there if that is another one.
_HOMES = {
    "affine_to_displacement": "core.affine",
    "affine_to_parameters": "core.affine_parameters",
    "AffineToDenseShift": "networks.layers",
    "AffineTransform": "core.transform",
    "apply_transform": "apply.apply",
    "ApplyOptions": "apply.options",
    "Bending": "core.losses.regularisers",
    "Cancelled": "core.errors",
    "compose": "core.displacement",
    "ComposeTransform": "networks.layers",
    "CompositeTransform": "core.transform",
    "ConditionalTemplateCreation": "networks.conditional_template",
    "Dice": "core.losses.anatomy",
    "DisplacementField": "core.transform",
    "evaluate": "evaluation.evaluate:evaluate_files",
    "fit_affine": "core.affine",
    "Geometry": "core.geometry",
    "Gradient": "core.losses.regularisers",
    "HyperVxmDense": "networks.hyper_dense",
    "HyperVxmJoint": "networks.joint",
    "Image": "core.image",
    "InstanceDense": "networks.instance",
    "integrate_velocity": "core.displacement",
    "invert_affine": "core.affine",
    "invert_displacement": "core.displacement",
    "jacobian_determinant": "core.displacement",
    "KL": "core.losses.regularisers",
    "LabelMap": "core.image",
    "LabelsToImage": "synth.labels_to_image",
    "load_catalogue": "weights.catalogue",
    "load_network": "weights.load",
    "make_config": "training.recipes",
    "make_loss": "core.losses.by_name",
    "MIND": "core.losses.mind",
    "MSE": "core.losses.intensity_difference",
    "MutualInformation": "core.losses.mutual_information",
    "NCC": "core.losses.ncc",
    "NetworkSpace": "core.config",
    "overlap": "core.metrics",
    "parameters_to_affine": "core.affine_parameters",
    "perlin_noise": "synth.noise",
    "ProbAtlasSegmentation": "networks.atlas_segmentation",
    "random_shapes": "synth.shapes",
    "read_image": "core.io.images",
    "read_label_map": "core.io.images",
    "read_transform": "core.io.transforms",
    "register": "registration.register:register_pair",
    "Registration": "registration.result",
    "RegistrationOptions": "core.config",
    "RegistrationRequest": "registration.request",
    "RescaleTransform": "networks.layers",
    "resize": "core.resize",
    "resize_displacement": "core.resize",
    "ResizeTransform": "networks.layers",
    "segment_image": "registration.segment",
    "soft_dice": "core.losses.anatomy",
    "SpatialTransformer": "networks.layers",
    "Surface": "core.losses.anatomy",
    "TemplateCreation": "networks.template",
    "train": "training.trainer",
    "Transform": "core.transform",
    "Tukey": "core.losses.intensity_difference",
    "Unet": "networks.unet",
    "VecInt": "networks.layers",
    "VoxelMorphError": "core.errors",
    "VxmAffineFeatureDetector": "networks.affine_detector",
    "VxmDense": "weights.saved_dense",
    "VxmDenseSemiSupervisedPointCloud": "networks.semi_supervised",
    "VxmDenseSemiSupervisedSeg": "networks.semi_supervised",
    "warp": "core.spatial",
    "warp_points": "core.spatial",
    "write_image": "core.io.images",
    "write_transform": "core.io.transforms",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    globals()[name] = getattr(importlib.import_module(f".{module}", __name__), attribute or name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
