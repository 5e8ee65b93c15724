"""The labels that a training uses."""

from __future__ import annotations

import numpy as np
import pytest
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.training.data.labels import choose_labels, chosen, merged, parse_merges


def test_merges_are_read_and_applied_at_once():
    assert parse_merges("17=1 53=1,2=17") == {17: 1, 53: 1, 2: 17}
    assert parse_merges("  ") == {}
    array = np.array([0, 1, 2, 3])
    assert merged(array, {1: 2, 2: 1}).tolist() == [0, 2, 1, 3]
    assert array.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("text", ["17", "17=a", "17=1 17=2", "a=1"])
def test_impossible_merges_are_refused(text):
    with pytest.raises(ConfigError, match="merge_labels has"):
        parse_merges(text)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint64])
def test_a_merged_label_may_be_larger_than_the_type_of_the_label_map(kind):
    array = np.array([[0, 1, 2]], kind)
    assert merged(array, parse_merges("1=1001 5000=2")).tolist() == [[0, 1001, 2]]
    assert chosen(array, (1001,), {1: 1001}, "map").tolist() == [[0, 1001, 0]]


def test_a_merged_label_that_no_training_can_hold_is_refused():
    assert parse_merges("1=32767") == {1: 32767}
    with pytest.raises(ConfigError, match=r"merge_labels has '2=32768'; .* at most 32767\. Write a smaller one"):
        parse_merges("1=2 2=32768")


@pytest.mark.parametrize("found", [{}, {"a": frozenset({1, 2})}])
def test_the_background_alone_is_refused(found):
    with pytest.raises(ConfigError, match="labels names 0 alone, the background"):
        choose_labels((0,), found)
    assert choose_labels((0, 1), found)[0] == (1,)


def test_labels_that_all_maps_have_are_used_and_the_others_told():
    found = {"a": frozenset({1, 2, 5}), "b": frozenset({1, 2})}
    assert choose_labels((), found) == ((1, 2), "Labels 5 are not in every label map and are left out; b lacks 5.")
    assert choose_labels((5, 1), found)[0] == (1, 5)
    assert "are used all the same; b lacks 5" in choose_labels((5, 1), found)[1]
    assert choose_labels((), {"a": frozenset({1})}) == ((1,), "")
    assert choose_labels((), {}) == ((), "")


def test_label_sets_that_do_not_match_are_told_in_one_sentence():
    with pytest.raises(ConfigError, match=r"share no label: a has 1, 2, c has 7"):
        choose_labels((), {"a": frozenset({1, 2}), "b": frozenset({2}), "c": frozenset({7})})


@pytest.mark.parametrize("labels", [(-1, 2), (40000,)])
def test_labels_outside_the_stored_type_are_refused(labels):
    with pytest.raises(ConfigError, match="outside 1 to 32767"):
        choose_labels(labels, {})


def test_other_labels_become_background():
    kept = chosen(np.array([[0, 2, 17, 53, 99]]), (1, 2), {17: 1, 53: 1}, "map")
    assert kept.tolist() == [[0, 2, 1, 1, 0]]
    assert kept.dtype == np.int16
    with pytest.raises(ImageError, match="map has none of the labels 7 in the training space"):
        chosen(np.array([1, 2]), (7,), {}, "map")
