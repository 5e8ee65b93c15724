"""Images are labelled by models of the recipe atlas-segmentation, in the numbers of their training."""

from __future__ import annotations

import numpy as np
import pytest
from support.segmenting import LABELS, a_subject, overlap, write_segmenting_model
from support.volumes import GEOMETRIES, a_geometry
from VoxelMorphLib.core.errors import ConfigError, ImageError, WeightsError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.registration.segment import segment_image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_segmenting_model(tmp_path_factory.mktemp("model") / "seg.safetensors")


def test_the_labels_of_the_training_space_are_found(model):
    image, truth = a_subject()
    told = []
    labels = segment_image(image, model, progress=lambda fraction, text: told.append((fraction, text)))
    assert isinstance(labels, LabelMap) and labels.geometry is image.geometry
    assert set(labels.labels()) == set(LABELS[1:]) and overlap(labels.array, truth.array) > 0.8
    assert told[-1][0] <= 1 and any("Labelling on cpu" in text for _fraction, text in told)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_labels_come_onto_the_grid_of_any_image(model, name):
    image, truth = a_subject(a_geometry(name, (24, 26, 22), 1.4))
    labels = segment_image(image, str(model))
    assert labels.geometry is image.geometry and overlap(labels.array, truth.array) > 0.65


def test_channels_without_numbers_are_counted(tmp_path, model):
    image, _truth = a_subject()
    counted = segment_image(image, write_segmenting_model(tmp_path / "seg.safetensors", labels=()))
    numbered = segment_image(image, model)
    assert np.array_equal(np.array(LABELS)[counted.array], numbered.array)


def test_models_that_label_nothing_are_refused():
    image, _truth = a_subject()
    with pytest.raises(ConfigError, match=r"The model hippocampus-T1 finds no labels\. Choose one that was trained by"):
        segment_image(image, "hippocampus-T1")
    with pytest.raises(ConfigError, match="optimise"):
        segment_image(image, "optimise")


def test_numbers_of_other_labels_are_refused(tmp_path):
    image, _truth = a_subject()
    model = write_segmenting_model(tmp_path / "seg.safetensors", labels=(0, 4))
    with pytest.raises(WeightsError, match="numbers 2 labels, but its atlas has 4"):
        segment_image(image, model)


def test_images_without_contents_are_refused(model):
    grid = a_geometry()
    with pytest.raises(ImageError, match="The labelled volume flat is empty or constant"):
        segment_image(Image(np.ones(grid.shape), grid, "flat"), model)
