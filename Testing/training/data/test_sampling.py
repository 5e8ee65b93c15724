"""What a sample is made of follows from seed and number alone."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from VoxelMorphLib.training.data.sampling import Draws, generator, held_back, sample_numbers, torch_seed


def first(draws: Draws, number: int) -> tuple[int, ...]:
    return next(draws(number))


def test_pairs_are_two_different_cases_and_all_are_drawn():
    draws = Draws(seed=3, cases=4, size=2)
    counts = Counter(first(draws, number) for number in range(1200))
    assert len(counts) == 12
    assert all(a != b for a, b in counts)
    assert max(counts.values()) < 2 * min(counts.values())


def test_a_draw_depends_on_seed_and_number_alone():
    draws = Draws(seed=3, cases=50, size=2)
    forward = [first(draws, number) for number in range(20)]
    assert [first(draws, number) for number in reversed(range(20))] == forward[::-1]
    assert [first(Draws(4, 50, 2), number) for number in range(20)] != forward


def test_replacements_differ_from_each_other():
    assert len(set(islice(Draws(seed=0, cases=50, size=1)(7), 10))) > 5


def test_listed_pairs_are_drawn_as_they_are():
    draws = Draws(seed=0, cases=5, size=2, pairs=((0, 1), (4, 2)))
    assert {first(draws, number) for number in range(30)} == {(0, 1), (4, 2)}


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_share_the_samples_of_one_large_batch(world):
    together = [number for micro in range(3) for number in sample_numbers(micro, 8, 0, 1)]
    parts = [n for micro in range(3) for rank in range(world) for n in sample_numbers(micro, 8 // world, rank, world)]
    assert parts == together == list(range(24))


def test_streams_are_independent():
    values = {generator(1, 2, stream).integers(2**60) for stream in range(3)}
    seeds = {torch_seed(seed, number, 2) for seed in range(5) for number in range(5)}
    assert len(values) == 3
    assert len(seeds) == 25
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_cases_are_held_back_once_each():
    groups = held_back(0, 7, 2)
    assert len(groups) == 3
    assert len({place for group in groups for place in group}) == 6
    assert groups == held_back(0, 7, 2) != held_back(1, 7, 2)
