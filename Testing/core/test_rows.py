"""Rows: images of many channels are interpolated as by `sample_at`, whatever their shape and device."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.rows import rows_between, rows_of
from VoxelMorphLib.core.spatial import sample_at

SHAPES = [(5, 6, 7), (4, 1, 6), (1, 1, 1), (7, 2, 3)]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_interpolated_as_images_are(shape, rng):
    image = torch.randn(1, 4, *shape, generator=rng)
    places = (torch.rand(3, 200, generator=rng) * 1.6 - 0.3) * torch.tensor(shape)[:, None]  # also outside
    expected = sample_at(image, places[None])[0].T
    torch.testing.assert_close(rows_between(rows_of(image), shape, places), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_devices_without_bags_of_rows_give_the_same(shape, rng, monkeypatch):
    rows = rows_of(torch.randn(1, 4, *shape, generator=rng))
    places = torch.rand(3, 200, generator=rng) * torch.tensor(shape)[:, None]
    expected = rows_between(rows, shape, places)
    other = Elsewhere(rows)
    torch.testing.assert_close(rows_between(other, shape, places), expected, atol=1e-6, rtol=0)
    assert other.looked_up == expected.new_tensor(shape).gt(1).sum().exp2()


class Elsewhere:
    """Rows on a device that is none of the CPU's."""

    device = torch.device("meta")

    def __init__(self, rows):
        self.rows, self.shape, self.looked_up = rows, rows.shape, 0

    def new_zeros(self, *shape):
        return self.rows.new_zeros(*shape)

    def __getitem__(self, index):
        self.looked_up += 1
        return self.rows[index]


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last_3d])
def test_the_channels_of_a_voxel_are_a_row(memory):
    image = torch.arange(48.0).view(1, 2, 2, 3, 4).contiguous(memory_format=memory)
    rows = rows_of(image)
    assert rows.is_contiguous() and rows[5].tolist() == image[0, :, 0, 1, 1].tolist()
    assert (rows.data_ptr() == image.data_ptr()) == (memory == torch.channels_last_3d)
