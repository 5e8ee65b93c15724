"""How long a slider of the template explorer waits for its template."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.core.attributes import Attribute
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.networks.conditional_template import ConditionalTemplateCreation
from VoxelMorphLib.registration.memo import NetworkCache
from VoxelMorphLib.registration.template import make_template
from VoxelMorphLib.registration.template_request import TemplateRequest
from VoxelMorphLib.training.recipes import make_config
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

from .clock import median
from .row import Row
from .settings import Settings
from .warm_click import TIMER_S

SHAPE = (96, 96, 96)
AGE, SEX = Attribute("age", "years", 20, 90, 55, 15), Attribute("sex", "", 0, 1, 0.5, 0.5)
#: Pause of the panel after a movement, before anything is asked for.
PAUSE_S = 0.03


def measure_templates(settings: Settings) -> list[Row]:
    """The first template of a model, and those of the positions of a slider after it."""
    with tempfile.TemporaryDirectory() as folder:
        model = _written(Path(folder) / "ages.safetensors")
        alone = _processor_seconds(model)
        client = WorkerClient(environment={"OMP_NUM_THREADS": str(settings.threads)}, temporary_folder=Path(folder))
        try:
            first = _seconds(client, TemplateRequest(model))
            ages = [20 + 70 * step / (2 * settings.repeats) for step in range(2 * settings.repeats + 1)]
            moved = [PAUSE_S + _seconds(client, TemplateRequest(model, {"age": age})) for age in ages]
        finally:
            client.close()
    grid = "x".join(map(str, SHAPE))
    note = f"longest of {len(moved)}: {max(moved):.3f} s; with the pause of the panel, {settings.threads} threads"
    return [
        Row("template", f"first template, {grid}", first, "s", note="with the start of the process"),
        Row("template", f"a slider was moved, {grid}", median(moved), "s", note=note),
        Row("template", f"... the template alone, {grid}", alone, "CPU s", note="on one core"),
    ]


def _written(path: Path) -> Path:
    """A model of two attributes with the recipe's generator, untrained."""
    config = make_config("conditional-template", {})
    arguments = {
        "shape": list(SHAPE),
        "attributes": 2,
        "generator_features": config.generator_features,
        "generator_levels": config.generator_levels,
        "extra_convolutions": config.extra_convolutions,
    }
    network = ConditionalTemplateCreation(**arguments)
    network.start_from(torch.rand(1, *SHAPE))
    entry = ModelEntry(
        id="ages",
        title="Ages",
        description="For measurements.",
        architecture="ConditionalTemplateCreation",
        arguments=arguments,
        file=path.name,
        format="safetensors",
        space=NetworkSpace(1.0, "RAS", SHAPE),
        attributes=(AGE, SEX),
    )
    write_model(network, entry, path)
    return path


def _processor_seconds(model: Path) -> float:
    """Of one template, on one core, once the model is loaded; what the rest of the machine does counts less here."""
    networks, threads = NetworkCache(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        make_template(TemplateRequest(model), networks=networks)
        began = time.process_time()
        make_template(TemplateRequest(model, {"age": 30}), networks=networks)
        return time.process_time() - began
    finally:
        torch.set_num_threads(threads)


def _seconds(client: WorkerClient, request: TemplateRequest) -> float:
    """Until the template is delivered, polled as a timer would."""
    results: list = []
    began = time.perf_counter()
    client.submit(request, on_done=results.append, on_error=results.append)
    while not results:
        time.sleep(TIMER_S)
        client.poll()
    if isinstance(results[0], Exception):
        raise results[0]
    return time.perf_counter() - began
