"""ANTs: antsRegistrationSyN and antsRegistrationSyNQuick, rigid, affine and SyN."""

from __future__ import annotations

import ants
from job import Job, Maps, Part, run

#: antsRegistrationSyN with the metric of its quick brother, for images of different contrasts.
_MUTUAL_INFORMATION = {
    "type_of_transform": "SyN",
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "reg_iterations": (100, 70, 50, 20),
    "grad_step": 0.2,
}


def register(job: Job) -> Maps:
    """Local correlation of radius 2, or mutual information of 32 bins."""
    fixed, moving = (ants.image_read(path) for path in (job.fixed, job.moving))
    kind = (job.options or {})["type_of_transform"]
    settings = _MUTUAL_INFORMATION if job.multimodal and "Quick" not in kind else {"type_of_transform": kind}
    found = ants.registration(fixed, moving, outprefix=job.file("ants_"), random_seed=1, **settings)
    warp, affine = found["fwdtransforms"]
    inverse = next(path for path in found["invtransforms"] if path.endswith(".nii.gz"))
    return Maps([Part(warp), Part(affine)], [Part(affine, inverted=True), Part(inverse)])


if __name__ == "__main__":
    run(register, "antspyx")
