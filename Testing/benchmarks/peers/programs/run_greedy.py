"""greedy: rigid, affine, deformable, as its documentation composes them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

from job import Job, Maps, Part, run, write_affine
from picsl_greedy import Greedy3D

#: Its smoothing of the coarsest level, a quarter of the resolution, wants this many voxels along every axis.
FEWEST_VOXELS = 4


def register(job: Job) -> Maps:
    """Rigid and affine by mutual information unless there is a start, then the local correlation.

    Of images of different contrasts mutual information again.
    """
    greedy = Greedy3D()
    thinnest = min(extent for path in (job.fixed, job.moving) for extent in _shape(path))
    levels = "100x50x10" if thinnest >= 4 * FEWEST_VOXELS else "50x10"
    pair = f"-i {job.fixed} {job.moving} -threads {job.threads} -seed 1 -V 0"
    warp, inverse, affine = job.file("warp.nii.gz"), job.file("back.nii.gz"), job.file("affine.mat")
    if job.start is None:
        rigid = job.file("rigid.mat")
        greedy.execute(f"-d 3 -a -dof 6 -ia-image-centers -m NMI -n {levels} -o {rigid} {pair}")
        greedy.execute(f"-d 3 -a -dof 12 -ia {rigid} -m NMI -n {levels} -o {affine} {pair}")
    else:
        lines = (" ".join(map(str, row)) for row in job.start["matrix"])
        Path(affine).write_text("\n".join(lines), encoding="ascii")
    metric = "-m NMI" if job.multimodal else "-m NCC 2x2x2"
    greedy.execute(f"-d 3 -it {affine} {metric} -n {levels} -wp 0 -o {warp} -oinv {inverse} {pair}")
    rows = [[float(value) for value in line.split()] for line in Path(affine).read_text().splitlines()[:4]]
    linear = write_affine(job.file("affine.tfm"), rows)
    return Maps([Part(warp), Part(linear)], [Part(linear, inverted=True), Part(inverse)])


def _shape(path: str) -> tuple[int, ...]:
    """Of a .nii.gz file; the interpreter may have no reader of images."""
    with gzip.open(path) as stream:
        header = stream.read(48)
    order = "<" if header[:4] == struct.pack("<i", 348) else ">"
    return struct.unpack_from(order + "3h", header, 42)


if __name__ == "__main__":
    run(register, "picsl_greedy")
