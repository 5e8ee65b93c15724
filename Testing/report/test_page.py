"""The page: complete, self-contained, escaped, and written entirely or not at all."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser

import pytest
from support.volumes import a_geometry, a_label_map
from VoxelMorphLib.core.errors import OutputError
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.report.page import write_report

pytest.importorskip("matplotlib", reason="figures need matplotlib")
VOID = {"meta", "img", "link", "br"}


class Reader(HTMLParser):
    """Collects text and attributes and checks that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text, self.images = [], [], [], []

    @property
    def words(self) -> str:
        return " ".join(filter(None, self.text))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links += [values[name] for name in ("href", "src", "srcset", "data") if name in values]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(" ".join(data.split()))  # as a browser shows it


def read(path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory, fixed, moving, a_registration) -> Reader:
    labels = a_label_map(fixed.geometry), a_label_map(moving.geometry)
    path = tmp_path_factory.mktemp("page") / "report.html"
    names = {17: "hippocampus"}
    write_report(path, fixed, moving, a_registration, labels, a_registration.forward, names)
    return read(path)


@pytest.fixture
def without_pictures(monkeypatch):
    """Pages that are read for their text: drawing would take most of the time."""
    for name in ("overview_figure", "images_figure", "agreement_figure", "deformation_figure"):
        monkeypatch.setattr(f"VoxelMorphLib.report.pictures.figures.{name}", lambda _views: b"\x89PNG")


def test_everything_is_inside_the_page(page):
    assert len(page.links) == 4
    for link in page.links:
        assert base64.b64decode(link.removeprefix("data:image/png;base64,"), validate=True)[1:4] == b"PNG"
    assert all(image["alt"] for image in page.images)
    assert "http" not in "".join(page.text)


@pytest.mark.parametrize(
    "text",
    [
        "0.412 → 0.967",
        "17 hippocampus",
        "Dice, mean of 3 labels",
        "0.00 mm",
        "31 voxels fold. Use a smoother field.",
        "-0.125 to 2.500",
        "0.017 mm",
        "12.25 s",
        "42.5",
        "Optimised for this pair, id optimise",
        "Radiological convention: the patient's right is on the left",
        "one line every 2 mm",
    ],
)
def test_the_page_says(page, text):
    assert text in page.words


@pytest.mark.usefixtures("without_pictures")
def test_dice_rises_when_the_transform_is_right(tmp_path, fixed, a_registration):
    """Labels moved away by the inverse come back through the transform."""
    moving = a_registration.inverse.resample(fixed, fixed.geometry)
    labels = a_label_map(fixed.geometry), a_registration.inverse.resample(a_label_map(fixed.geometry), fixed.geometry)
    write_report(tmp_path / "report.html", fixed, moving, a_registration, labels)
    text = read(tmp_path / "report.html").words
    before, after = map(float, re.search(r"([\d.]+) → ([\d.]+) Dice", text).groups())
    assert after > before
    assert after > 0.8
    before, after = map(
        float, re.search(r"([\d.]+) → ([\d.]+) Dice of fixed labels moved by the inverse", text).groups()
    )
    assert after > before
    assert after > 0.8
    rows = re.findall(r"mean ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+)", text)
    assert rows and float(rows[0][3]) == after


@pytest.mark.usefixtures("without_pictures")
def test_names_from_outside_are_escaped(tmp_path, fixed, moving, a_registration):
    evil = Image(fixed.array, fixed.geometry, "<script>alert('1')</script>&\udcff")
    write_report(tmp_path / "report.html", evil, moving, a_registration)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in source
    assert "&lt;script&gt;" in source


@pytest.mark.usefixtures("without_pictures")
def test_what_is_worse_than_before_stands_above_everything(tmp_path, fixed, moving, a_registration):
    others = a_registration.report.warnings
    report = dataclasses.replace(a_registration.report, worse="It is worse.", warnings=("It is worse.", *others))
    write_report(tmp_path / "report.html", fixed, moving, dataclasses.replace(a_registration, report=report))
    text = read(tmp_path / "report.html").words
    assert text.count("It is worse.") == 1
    assert text.index("It is worse.") < text.index("0.412") < text.index(others[0])


@pytest.mark.usefixtures("without_pictures")
def test_optional_parts_are_left_out(tmp_path, fixed, moving, a_registration):
    report = dataclasses.replace(a_registration.report, warnings=(), options={})
    write_report(tmp_path / "report.html", fixed, moving, dataclasses.replace(a_registration, report=report))
    text = read(tmp_path / "report.html").words
    assert "Dice" not in text
    assert "Displacement error" not in text
    assert 'class="warnings"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_pictures")
def test_a_users_own_weights_are_named_as_such(tmp_path, fixed, moving, a_registration):
    report = dataclasses.replace(a_registration.report, model="mine.pt", model_sha256="ab" * 32)
    write_report(tmp_path / "report.html", fixed, moving, dataclasses.replace(a_registration, report=report))
    text = read(tmp_path / "report.html").words
    assert f"a file of the user's own, not in the catalogue, SHA-256 {'ab' * 32}" in text


@pytest.mark.usefixtures("without_pictures")
def test_masks_are_listed_where_there_were_some(tmp_path, fixed, moving, a_registration):
    masked = dataclasses.replace(a_registration.report, moving_mask="brain <1>, 12.3 % of the volume")
    write_report(tmp_path / "report.html", fixed, moving, dataclasses.replace(a_registration, report=masked))
    text = read(tmp_path / "report.html").words
    assert "Moving mask, voxels outside were ignored brain <1>, 12.3 % of the volume" in text
    assert "Fixed mask" not in text


@pytest.mark.usefixtures("without_pictures")
def test_published_models_come_with_licence_and_citation(tmp_path, fixed, moving, a_registration):
    report = dataclasses.replace(a_registration.report, model="vxm-dense-brain-T1-mse")
    write_report(tmp_path / "report.html", fixed, moving, dataclasses.replace(a_registration, report=report))
    text = read(tmp_path / "report.html").words
    assert "Licence" in text
    assert "Please cite" in text


@pytest.mark.usefixtures("without_pictures")
def test_labels_on_another_grid_are_brought_to_that_of_the_volume(tmp_path, fixed, moving, a_registration):
    found = []
    for grid in (fixed.geometry, a_geometry("LAS", (60, 60, 60), 1.0)):
        labels = a_label_map(grid), a_label_map(moving.geometry)
        write_report(tmp_path / "report.html", fixed, moving, a_registration, labels)
        found.append(float(re.search(r"→ ([\d.]+) Dice", read(tmp_path / "report.html").words)[1]))
    assert found[0] == pytest.approx(found[1], abs=0.05)


def test_a_missing_folder_is_refused(tmp_path, fixed, moving, a_registration):
    with pytest.raises(OutputError, match="does not exist"):
        write_report(tmp_path / "nowhere" / "report.html", fixed, moving, a_registration)


@pytest.mark.slow
def test_a_failure_leaves_the_old_page(tmp_path, fixed, moving, a_registration, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr("VoxelMorphLib.report.pictures.figures.deformation_figure", lambda views: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(path, fixed, moving, a_registration)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_report_without_seconds_tells_no_time_at_all(tmp_path, fixed, moving, a_registration, without_pictures):
    timeless = dataclasses.replace(a_registration, report=dataclasses.replace(a_registration.report, seconds={}))
    write_report(tmp_path / "timeless.html", fixed, moving, timeless)
    words = read(tmp_path / "timeless.html").words
    assert " s on cpu" not in words and "Time: " not in words
    assert not re.search(r"\d\d:\d\d", words)
