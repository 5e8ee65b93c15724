"""elastix: its standard parameter maps rigid, affine and B-spline, all by mutual information; it gives no inverse."""

from __future__ import annotations

import itk
import numpy as np
from job import Job, Maps, Part, run

#: ITK loads its parts when they are first named, which is importing and not registering.
LOADED = (
    itk.imread,
    itk.imwrite,
    itk.ParameterObject,
    itk.elastix_registration_method,
    itk.transformix_deformation_field,
)


def register(job: Job) -> Maps:
    """The last grid has nodes every 8 voxels, and the bending energy weighs what it does at voxels of 1 mm."""
    fixed, moving = (itk.imread(path, itk.F) for path in (job.fixed, job.moving))
    spacing = float(np.prod(fixed.GetSpacing()) ** (1 / 3))
    parameters = itk.ParameterObject.New()
    for name in ("rigid", "affine", "bspline"):
        settings = dict(parameters.GetDefaultParameterMap(name, 4, 8 * spacing))
        settings["WriteResultImage"] = ("false",)
        if name == "rigid":
            settings["AutomaticTransformInitialization"] = ("true",)
        if name == "bspline":
            settings["Metric1Weight"] = (str(spacing**2),)
        parameters.AddParameterMap(settings)
    _, found = itk.elastix_registration_method(
        fixed, moving, parameter_object=parameters, log_to_console=False, number_of_threads=job.threads
    )
    field = job.file("field.nii.gz")
    itk.imwrite(itk.transformix_deformation_field(moving, found), field)
    return Maps([Part(field)])


if __name__ == "__main__":
    run(register, "itk-elastix")
