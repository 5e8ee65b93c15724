"""greedy: rigid, affine, deformable, as its documentation composes them."""

from __future__ import annotations

from pathlib import Path

from job import Job, Maps, Part, run, write_affine
from picsl_greedy import Greedy3D


def register(job: Job) -> Maps:
    """Rigid and affine by mutual information unless there is a start, then the local correlation.

    Of images of different contrasts mutual information again.
    """
    greedy = Greedy3D()
    pair = f"-i {job.fixed} {job.moving} -threads {job.threads} -seed 1 -V 0"
    warp, inverse, affine = job.file("warp.nii.gz"), job.file("back.nii.gz"), job.file("affine.mat")
    if job.start is None:
        rigid = job.file("rigid.mat")
        greedy.execute(f"-d 3 -a -dof 6 -ia-image-centers -m NMI -n 100x50x10 -o {rigid} {pair}")
        greedy.execute(f"-d 3 -a -dof 12 -ia {rigid} -m NMI -n 100x50x10 -o {affine} {pair}")
    else:
        lines = (" ".join(map(str, row)) for row in job.start["matrix"])
        Path(affine).write_text("\n".join(lines), encoding="ascii")
    metric = "-m NMI" if job.multimodal else "-m NCC 2x2x2"
    greedy.execute(f"-d 3 -it {affine} {metric} -n 100x50x10 -wp 0 -o {warp} -oinv {inverse} {pair}")
    rows = [[float(value) for value in line.split()] for line in Path(affine).read_text().splitlines()[:4]]
    linear = write_affine(job.file("affine.tfm"), rows)
    return Maps([Part(warp), Part(linear)], [Part(linear, inverted=True), Part(inverse)])


if __name__ == "__main__":
    run(register, "picsl_greedy")
