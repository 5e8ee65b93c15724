"""FireANTs: rigid, affine, then its greedy deformation, as its tutorial composes them; on the processor."""

from __future__ import annotations

import SimpleITK as sitk  # noqa: N813
import torch
from fireants.io.image import BatchedImages, Image
from fireants.registration.affine import AffineRegistration
from fireants.registration.greedy import GreedyRegistration
from fireants.registration.rigid import RigidRegistration
from job import Job, Maps, Part, run

_LINEAR = {"scales": [4, 2, 1], "iterations": [200, 100, 50]}


def register(job: Job) -> Maps:
    """Local correlation, or mutual information where the contrasts differ. Its inverse lies on the moving grid.

    The intensities are brought to 0..1, as its mutual information divides both images by one number.
    """
    torch.set_num_threads(job.threads)
    fixed, moving = (_read(path) for path in (job.fixed, job.moving))
    loss = {"loss_type": "mi" if job.multimodal else "cc"}
    linear = {**_LINEAR, **loss}
    rigid = RigidRegistration(**linear, fixed_images=fixed, moving_images=moving, init_translation="cof")
    rigid.optimize()
    start = rigid.get_rigid_matrix().detach()
    affine = AffineRegistration(**linear, fixed_images=fixed, moving_images=moving, init_rigid=start)
    affine.optimize()
    deformable = GreedyRegistration(
        **loss,
        scales=[4, 2, 1],
        iterations=[200, 100, 50],
        fixed_images=fixed,
        moving_images=moving,
        cc_kernel_size=5,
        smooth_grad_sigma=1.0,
        smooth_warp_sigma=0.5,
        init_affine=affine.get_affine_matrix().detach(),
    )
    deformable.optimize()
    deformable.save_as_ants_transforms([job.file("warp.nii.gz")])
    deformable.save_as_ants_transforms([job.file("back.nii.gz")], save_inverse=True)
    return Maps([Part(job.file("warp.nii.gz"))], [Part(job.file("back.nii.gz"))])


def _read(path: str) -> BatchedImages:
    image = sitk.RescaleIntensity(sitk.Cast(sitk.ReadImage(path), sitk.sitkFloat32), 0.0, 1.0)
    return BatchedImages([Image(image, device="cpu")])


if __name__ == "__main__":
    run(register, "fireants", "torch")
