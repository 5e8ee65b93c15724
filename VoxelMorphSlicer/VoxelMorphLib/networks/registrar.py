"""Registrar: what the library asks of a registration network, whatever computes its fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from torch import Tensor

from .fields import FieldPair


@runtime_checkable
class Registrar(Protocol):
    """Aligns image pairs: every network of this package but `Unet`, and whatever else offers the same."""

    @property
    def multiple(self) -> int:
        """Images whose extents are multiples of this need no padding."""

    @property
    def diffeomorphic(self) -> bool:
        """Whether the result can be inverted, so that `fields` returns the inverse too."""

    def fields(self, moving: Tensor, fixed: Tensor) -> FieldPair:
        """The fields between images of one grid.

        Args:
            moving, fixed: (B, C, *shape).

        Raises:
            GeometryError: the images do not fit each other or the network.
        """


@runtime_checkable
class HyperRegistrar(Registrar, Protocol):
    """A registrar trained for all values of some hyperparameters, such as the weight of the regularisation."""

    @property
    def hyperparameters(self) -> int:
        """How many there are to choose; 0 when the network was evaluated for one choice."""

    def choose(self, hyperparameters: float | Sequence[float]) -> None:
        """Set the hyperparameters of the calls that name none.

        Raises:
            ConfigError: another number of hyperparameters than the network has.
        """


@runtime_checkable
class FeatureDetector(Protocol):
    """Finds in each image alone what a pair is aligned by."""

    @property
    def multiple(self) -> int:
        """Images whose extents are multiples of this need no padding."""

    @property
    def peak_features(self) -> float:
        """As of `peak_features`, while both images are looked at."""

    @property
    def feature_channels(self) -> int:
        """How many channels the features have."""

    @property
    def detailed_smoothness(self) -> float:
        """The part of the usual regularity that suits images of finer voxels than the network's, which show more."""

    def features(self, image: Tensor) -> Tensor:
        """(B, channels, *shape), which are alike where two images show the same.

        Args:
            image: (B, C, *shape), about 0..1.

        Raises:
            GeometryError: the image does not fit the network.
        """


#: What weights files hold: networks that align pairs, and those that find in each image what a pair is aligned by.
Network = Registrar | FeatureDetector


def hyperparameter_count(network: object) -> int:
    """How many hyperparameters a network can still be run with; 0 for an ordinary one."""
    return network.hyperparameters if isinstance(network, HyperRegistrar) else 0


def peak_features(network: object) -> float | None:
    """Most values that are alive at once while a network runs without gradients on the CPU, for each voxel of its grid.

    None where it does not tell.
    """
    return getattr(network, "peak_features", None)


@contextmanager
def integrating(network: object, steps: int) -> Iterator[None]:
    """Let a network that integrates a velocity do so in so many squarings; 0 leaves its own, and others as they are."""
    own = getattr(network, "int_steps", 0)
    try:
        if steps and own:
            network.int_steps = steps  # type: ignore[attr-defined]
        yield
    finally:
        if own:
            network.int_steps = own  # type: ignore[attr-defined]


def choose_regularisation(network: object, value: float) -> None:
    """Set all hyperparameters of a network to one value; an ordinary network stays as it is.

    Raises:
        ConfigError: not a finite number.
    """
    if isinstance(network, HyperRegistrar) and network.hyperparameters:
        network.choose([value] * network.hyperparameters)
