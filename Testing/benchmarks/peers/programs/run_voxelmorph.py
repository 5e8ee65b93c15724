"""Our own registration, by the library's public functions."""

from __future__ import annotations

import torch
from job import Job, Maps, Part, run
from VoxelMorphLib import RegistrationOptions, register, write_image, write_transform
from VoxelMorphLib.registration import pipeline  # noqa: F401, imported before the time counts, as the others' code is


def align(job: Job) -> Maps:
    """The model and the registration options that the method names; `weights_dir` and `moved` are not among them."""
    torch.set_num_threads(job.threads)
    options = dict(job.options or {})
    model, weights = options.pop("model"), options.pop("weights_dir", None)
    keeps_moved = options.pop("moved", False)
    chosen = RegistrationOptions.from_dict({"device": "cpu", **options})
    result = register(job.fixed, job.moving, model, chosen, weights_dir=weights)
    forward, inverse = (
        str(write_transform(transform, job.file(name)))
        for transform, name in ((result.forward, "forward.h5"), (result.inverse, "inverse.h5"))
    )
    moved = str(write_image(result.moved, job.file("moved.nii.gz"))) if keeps_moved else ""
    return Maps([Part(forward)], [Part(inverse)], moved)


if __name__ == "__main__":
    run(align, "torch")
