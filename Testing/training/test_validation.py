"""Validation: overlap, folding and similarity of every variant, and which of them is best."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tiny_training import SHAPE, TinyData, tiny_trainer
from VoxelMorphLib.core.metrics import overlap
from VoxelMorphLib.networks.fields import FieldPair
from VoxelMorphLib.training.stopping import Best
from VoxelMorphLib.training.validation import Measures, Validation


@pytest.fixture
def a_shifting_trainer(a_config):
    """Its variants "0" and "1" shift all moving images by so many voxels."""
    trainer = tiny_trainer(a_config(), pairs=2)
    trainer.task.variants = lambda: ("0", "1")

    def fields(_network, moving, _fixed, variant):
        return FieldPair(None, torch.full((1, 3, *SHAPE), float(variant)), torch.full((1, 3, *SHAPE), -float(variant)))

    trainer.task.fields = fields
    return trainer


def measured(dice, image_loss, back_dice=None, back_image_loss=None):
    """Measures without folds, both directions alike unless told otherwise."""
    back = dice if back_dice is None else back_dice
    return Measures(dice, 0.0, image_loss, back, image_loss if back_image_loss is None else back_image_loss)


def test_every_variant_is_measured(a_shifting_trainer):
    validation, pictures = a_shifting_trainer.validator(a_shifting_trainer.task.network, pictures=1)
    pairs = list(TinyData(a_shifting_trainer.config).validation())
    for variant, shift in (("0", 0), ("1", 1)):
        measures = validation.by_variant[variant]
        maps = [(p.fixed_labels[0, 0].numpy(), np.pad(p.moving_labels[0, 0].numpy(), (0, 1), "edge")) for p in pairs]
        moved = [moving[shift : shift + 12, shift : shift + 12, shift : shift + 12] for _, moving in maps]
        expected = [overlap(fixed, other, (1, 2)).by_label for (fixed, _), other in zip(maps, moved)]
        assert measures.dice == pytest.approx({label: np.mean([e[label] for e in expected]) for label in (1, 2)})
        back = [np.pad(p.fixed_labels[0, 0].numpy(), (shift, 0), "edge")[:12, :12, :12] for p in pairs]
        expected = [overlap(moving[:12, :12, :12], other, (1, 2)).by_label for (_, moving), other in zip(maps, back)]
        assert measures.back_dice == pytest.approx({label: np.mean([e[label] for e in expected]) for label in (1, 2)})
        assert measures.folded_percent == 0
    assert validation.by_variant["1"].back_dice != validation.by_variant["1"].dice
    losses = [float((p.fixed - p.moving).square().mean()) for p in pairs]
    assert validation.by_variant["0"].image_loss == pytest.approx(np.mean(losses))
    assert validation.by_variant["0"].back_image_loss == pytest.approx(np.mean(losses))
    assert validation.by_variant["1"].back_image_loss != pytest.approx(np.mean(losses))
    assert [(pair.name, pair.variant) for pair in pictures.pairs] == [("m10000.nii f10000.nii", "0")]
    assert np.allclose(pictures.pairs[0].moved, pairs[0].moving[0, 0].numpy(), atol=1e-6)


def test_a_missing_inverse_is_computed(a_shifting_trainer):
    trainer = a_shifting_trainer
    given = trainer.validator(trainer.task.network)[0].by_variant["1"]
    fields = trainer.task.fields
    trainer.task.fields = lambda *arguments: replace(fields(*arguments), inverse=None)
    assert trainer.validator(trainer.task.network)[0].by_variant["1"] == given


def test_folding_is_counted(a_shifting_trainer):
    def fields(_network, moving, _fixed, _variant):
        displacement = torch.zeros(1, 3, *SHAPE)
        displacement[:, 0, 6:] = -5.0
        return FieldPair(None, displacement, None)

    a_shifting_trainer.task.fields = fields
    measures = a_shifting_trainer.validator(a_shifting_trainer.task.network)[0].measures
    assert measures.folded_percent == pytest.approx(100 * 2 / 12)


def test_the_network_evaluates_and_then_trains_again(a_shifting_trainer):
    network, modes = a_shifting_trainer.task.network, []
    fields = a_shifting_trainer.task.fields
    a_shifting_trainer.task.fields = lambda *arguments: modes.append(network.training) or fields(*arguments)
    network.train()
    a_shifting_trainer.validator(network)
    assert set(modes) == {False}
    assert network.training


def test_without_pairs_there_is_nothing_to_tell(a_config):
    trainer = tiny_trainer(a_config(), pairs=0)
    assert trainer.validator(trainer.task.network)[0] is None


def test_the_best_variant_has_the_most_overlap():
    validation = Validation({"a": measured({1: 0.5}, 0.1, {1: 0.4}), "b": measured({1: 0.7}, 0.3, {1: 0.6})})
    assert validation.best == "b"
    row = validation.row()
    assert (row["val_variant"], row["val_dice"], row["val_dice@a"]) == ("b", 0.7, 0.5)
    assert (row["val_back_dice"], row["val_back_dice_1"], row["val_back_dice@a"]) == (0.6, 0.6, 0.4)
    assert "val_dice_1@a" not in row


def test_both_directions_decide():
    squeezed, fair = measured({1: 0.85}, 0.1, {1: 0.69}), measured({1: 0.82}, 0.1, {1: 0.81})
    assert Validation({"squeezed": squeezed, "fair": fair}).best == "fair"
    assert fair.value == pytest.approx(0.815)


def test_without_labels_the_similarity_decides():
    validation = Validation({"": measured({}, 0.25, {}, 0.75)})
    assert validation.measures.value == -0.5
    assert math.isnan(validation.measures.mean_dice) and math.isnan(validation.measures.mean_back_dice)
    assert validation.row() == {"val_folded_percent": 0, "val_image_loss": 0.25, "val_back_image_loss": 0.75}


def test_a_variant_that_fails_is_never_the_best():
    assert Validation({"a": measured({}, math.nan), "b": measured({}, 9.0)}).best == "b"


def test_patience_counts_what_is_no_better():
    best = Best(patience=2)
    assert [best.offer(value, "", step) for step, value in enumerate((1.0, 2.0, 2.0))] == [True, True, False]
    assert not best.exhausted
    assert not best.offer(math.nan, "", 3)
    assert best.exhausted
    assert (best.value, best.step) == (2.0, 1)
    assert not Best(0).exhausted


def test_without_labels_the_middle_variant_counts_and_not_the_least_smooth_one():
    losses = {"0": -0.9, "0.5": -0.6, "1": -0.1}
    validation = Validation({name: measured({}, loss) for name, loss in losses.items()})
    assert validation.best == "0.5"
    assert validation.measures.value == 0.6
