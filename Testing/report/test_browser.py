"""The pages of all commands in a browser: every picture is seen, nothing is fetched, no name becomes a script."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.browser import require_browser, screenshot, seen
from support.volumes import a_label_map
from VoxelMorphLib.evaluation.evaluate import evaluate
from VoxelMorphLib.evaluation.results import Result
from VoxelMorphLib.evaluation.rows import WARNING, Row
from VoxelMorphLib.evaluation.subject import Subject
from VoxelMorphLib.report.evaluation_page import evaluation_page, overview_page, small_picture
from VoxelMorphLib.report.page import write_report
from VoxelMorphLib.report.pictures import comparison_pictures
from VoxelMorphLib.report.views import make_views

pytest.importorskip("matplotlib", reason="figures need matplotlib")
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def subject(fixed, moving, a_registration):
    return Subject(
        EVIL,
        dataclasses.replace(fixed, name=EVIL),
        moving,
        a_registration.moved,
        a_label_map(fixed.geometry),
        a_label_map(moving.geometry),
        forward=a_registration.forward,
        inverse=a_registration.inverse,
        label_names={2: EVIL, 17: "=hippocampus"},
    )


@pytest.fixture(scope="module")
def result(subject):
    return Result(EVIL, evaluate(subject), {"fixed": f"/data/{EVIL}.nii.gz"}, small_picture(subject))


@pytest.fixture(scope="module")
def pictures(subject):
    """Drawn once for all pages: they show the same pair."""
    return comparison_pictures(make_views(subject.fixed, subject.moving, subject.moved, subject.forward))


def register(path, subject, result, registration):
    """As the demo writes it too, which knows the truth."""
    labels, truth = (subject.fixed_labels, subject.moving_labels), registration.forward.inverse()
    write_report(path, subject.fixed, subject.moving, registration, labels, truth, subject.label_names)


def evaluation(path, subject, result, registration):
    evaluation_page(subject, result).write(path)


def overview(path, subject, result, registration):
    told = Row(WARNING, after="A long sentence of what went wrong with this pair, and what to change. " * 5)
    others = [dataclasses.replace(result, name=f"pair {number}", rows=[*result.rows, told]) for number in range(3)]
    overview_page([*others, result], f"Evaluation of {EVIL}", {EVIL: f"{EVIL}.html"}).write(path)


PAGES = {register: 4, evaluation: 4, overview: 4}


@pytest.mark.slow
@pytest.mark.parametrize("write", PAGES, ids=lambda write: write.__name__)
def test_a_browser_shows_the_page(tmp_path, subject, result, a_registration, pictures, monkeypatch, write):
    require_browser()
    for module in ("page", "evaluation_page"):
        monkeypatch.setattr(f"VoxelMorphLib.report.{module}.comparison_pictures", lambda _views: pictures)
    page = tmp_path / "page.html"
    write(page, subject, result, a_registration)
    found = seen(page)
    assert (found["images"], found["broken"], found["asked"], found["alerts"]) == (PAGES[write], 0, [], 0)
    assert found["width"] <= found["window"] and found["clipped"] == [], "nothing is pushed out of sight"
    assert "<script>alert(1)</script>" in found["text"], "names are read as they are"
    if write is not evaluation:
        return
    screenshot(page, tmp_path / "page.png", height=1200)
    from matplotlib.image import imread

    pixels = imread(tmp_path / "page.png")[..., :3]
    assert np.ptp(pixels, axis=-1).max() > 0.3 and pixels.std() > 0.05, "there are colours"


@pytest.mark.slow
def test_the_browser_notices_what_pages_must_not_do(tmp_path):
    require_browser()
    page = tmp_path / "page.html"
    page.write_text(f'<html><head></head><body>{EVIL}<div style="width:5000px">wide</div></body></html>')
    found = seen(page)
    assert found["alerts"] >= 1 and found["broken"] == 1 and found["asked"] and found["width"] > found["window"]
