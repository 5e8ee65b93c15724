"""ConvexAdam with MIND features: it wants both images on one grid, so it gets the moving image by our affine start."""

from __future__ import annotations

import nibabel
import numpy as np
import torch
from convexAdam.convex_adam_MIND import convex_adam_pt
from job import Job, Maps, Part, run


def register(job: Job) -> Maps:
    """Its default arguments; the displacement comes in voxels, before the affine start. It gives no inverse."""
    torch.set_num_threads(job.threads)
    assert job.start is not None
    images = [nibabel.load(path) for path in (job.fixed, job.start["moved"])]
    fixed, moving = (np.asarray(image.dataobj, dtype=np.float32) for image in images)
    voxels = convex_adam_pt(fixed, moving, device=torch.device("cpu"))
    affine = images[0].affine
    vectors = voxels @ affine[:3, :3].T * (-1, -1, 1)  # to mm, RAS to LPS
    field = nibabel.Nifti1Image(vectors[:, :, :, None].astype(np.float32), affine)
    field.header.set_intent("vector")
    nibabel.save(field, job.file("field.nii.gz"))
    return Maps([Part(job.file("field.nii.gz")), *(Part(**part) for part in job.start["forward"])])


if __name__ == "__main__":
    run(register, "convexAdam", "torch")
