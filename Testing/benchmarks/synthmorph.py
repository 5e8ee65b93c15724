"""SynthMorph at its real size with random weights: specialising the hypernetwork, and registering with each model."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.catalogue import find_entry
from VoxelMorphLib.weights.safetensors_file import write_model

from .child import run_child
from .clock import processor_seconds
from .floor import alone_on
from .row import Row
from .settings import Settings

DEFORM, BRAINS, AFFINE, JOINT = "synthmorph-deform-3", "synthmorph-brains", "synthmorph-affine-2", "synthmorph-joint-3"
#: Voxels along each axis of the grid on which the models are timed; time and memory grow with their number.
EXTENT = 96

_SPECIALISE = """
import os, sys, time
folder, arguments = sys.argv[1], sys.argv[2]
os.environ["VXM_CACHE"] = folder + "/cache"
import dataclasses, json
from VoxelMorphLib.weights.catalogue import find_entry
from VoxelMorphLib.weights.load import load_network
entry = find_entry("synthmorph-deform-3")
entry = dataclasses.replace(entry, sha256=None, bytes=None, arguments={**entry.arguments, **json.loads(arguments)})
began = time.perf_counter()
load_network(entry, folder, regularisation=0.3)
seconds = time.perf_counter() - began
"""

_REGISTER = """
import dataclasses, sys, time
import numpy as np
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.register import register_pair
from benchmarks.stages import stages_of
model, extent = sys.argv[1], int(sys.argv[2])
places = np.indices((extent,) * 3, np.float32) - (extent - 1) / 2
waves = [np.sin(places[0] / n) * np.cos(places[1] / (n + 1)) * np.sin(places[2] / 6) for n in (4, 5)]
ball = np.sqrt((places**2).sum(0)) < 0.45 * extent
fixed, moving = (Image((ball * (600 + 200 * wave)).astype(np.int16), Geometry((extent,) * 3, np.eye(4)), "ball")
                 for wave in waves)
del places, waves, ball
began = time.process_time()
with stages_of() as stages:
    register_pair(fixed, moving, model, RegistrationOptions(affine="none", device="cpu"))
seconds = time.process_time() - began
more = {"stages": stages}
"""


def measure_synthmorph(settings: Settings, features: int = 256, extent: int = EXTENT) -> list[Row]:
    """Peak memory and time of a hypernetwork of 3.5 GB, and of registrations with networks of `features`."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _specialisation(Path(folder), features)
        for model in (BRAINS, AFFINE, DEFORM, JOINT):
            rows += _registration(Path(folder), model, features, extent)
    return [*rows, *(_against_floor(model, features, extent) for model in (BRAINS, DEFORM))]


def _specialisation(folder: Path, features: int) -> list[Row]:
    arguments = _arguments(DEFORM, features)
    path = write_hypernetwork(folder / find_entry(DEFORM).file, arguments)
    size, rows = path.stat().st_size / 1e9, []
    for name in ("evaluated for a regularity", "read again from the cache"):
        run = run_child(_SPECIALISE, [str(folder), json.dumps(arguments)])
        rows.append(Row("synthmorph", f"hypernetwork, {name}", run["peak_bytes"] / 1e9, "GB peak", note=_note(size)))
        rows.append(Row("synthmorph", f"hypernetwork, {name}", run["seconds"], "s", note=_note(size)))
        if path.is_file():
            path.unlink()  # the second time comes without it
    return rows


def _registration(folder: Path, model: str, features: int, extent: int) -> list[Row]:
    file = write_random(folder / f"{model}.safetensors", model, features, extent)
    run = run_child(_REGISTER, [str(file), str(extent)])
    name, note = f"register, {model}", f"{extent} voxels along each axis, {features} features, 1 thread, whole process"
    rows = [Row("synthmorph", name, run["seconds"], "s CPU", note=note)]
    for stage, (seconds, peak) in run["stages"].items():
        rows.append(Row("synthmorph", f"{name}, {stage}", seconds, "s CPU", note=f"{peak / 1e9:.2f} GB peak"))
    return rows


def _against_floor(model: str, features: int, extent: int) -> Row:
    """One pass of a network beside its convolutions, each once, after a small grid that warms up."""
    torch.set_num_threads(1)
    network = _network(model, features).eval().requires_grad_(False)
    shape, times = (extent,) * 3, {}
    for grid in ((network.multiple,) * 3, shape):
        works = {"fields": partial(network.fields, *torch.rand(2, 1, 1, *grid)), "floor": alone_on(network, grid)}
        with torch.inference_mode():
            times = {name: processor_seconds(work) for name, work in works.items()}
    note = (
        f"{extent} voxels along each axis, {features} features, 1 thread; its convolutions {times['floor']:.3g} s CPU"
    )
    ratio = times["fields"] / times["floor"]
    return Row("synthmorph", f"fields of {model}", times["fields"], "s CPU", "its convolutions", ratio, note)


def write_random(path: Path, model: str, features: int, extent: int) -> Path:
    """A file of random weights of a model, whose grid is a cube of `extent` voxels."""
    entry, arguments = find_entry(model), _plain_arguments(model, features)
    space = dataclasses.replace(entry.space, shape=(extent,) * 3)
    entry = dataclasses.replace(entry, arguments=arguments, space=space, affine_model=None, requires_affine=False)
    write_model(_network(model, features), entry, path)
    return path


def _network(model: str, features: int) -> nn.Module:
    torch.manual_seed(0)
    return build_network(find_entry(model).architecture, _plain_arguments(model, features))


def _plain_arguments(model: str, features: int) -> dict:
    """Of the network for one regularity."""
    entry = find_entry(model)
    plain = {"hyp_num": 0} if entry.architecture == "HyperVxmJoint" else {}
    return {**entry.arguments, **_arguments(model, features), **plain}


def write_hypernetwork(path: Path, arguments: dict) -> Path:
    """A file in the layout of the published deformable network, random, written tensor by tensor and row by row."""
    network = build_network("HyperVxmJoint", {**find_entry(DEFORM).arguments, **arguments}, device="meta")
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        group = file.create_group("model_3")
        file.attrs["layer_names"], names = [b"model_3"], []

        def store(name: str, shape: Sequence[int], scale: float) -> None:
            names.append(f"{name}:0".encode())
            array = group.create_dataset(f"{name}:0", shape, np.float32)
            for row in range(shape[0]) if len(shape) > 1 else (slice(None),):
                array[row] = scale * random.standard_normal(array[row].shape, np.float32)

        for number, layer in enumerate(network.deform.hidden, start=1):
            store(f"dense_{number}/kernel", layer.weight.shape[::-1], 0.5)
            store(f"dense_{number}/bias", layer.bias.shape, 0.5)
        pairs = zip(network.deform.generated[::2], network.deform.generated[1::2])
        for number, (kernel, bias) in enumerate(pairs, start=1):
            for short, tensor in (("hyperkernel", kernel), ("hyperbias", bias)):
                name, size = f"hyper_conv_from_dense_{number}/{short}", tensor.bias.numel()
                store(f"{name}_kernel", (len(tensor.weight), size), 0.001)
                store(f"{name}_bias", (size,), 0.01)
        group.attrs["weight_names"] = names
    return path


def _arguments(model: str, features: int) -> dict:
    """What makes a network of other features than the published one."""
    if features == 256:
        return {}
    if model == BRAINS:
        return {"features": [[features] * 4, [features] * 6]}
    detector = {"enc_nf": [features] * 4, "add_nf": [features] * 4}
    if model == AFFINE:
        return detector
    return {**detector, "dec_nf": [features] * 4, **({"affine": detector} if model == JOINT else {})}


def _note(size: float) -> str:
    return f"random file of {size:.3g} GB, whole process, 1 thread"
