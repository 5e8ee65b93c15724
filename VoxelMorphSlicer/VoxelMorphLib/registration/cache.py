"""RegistrationCache: what one registration leaves for the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from .network_cache import NetworkCache
from .start_cache import StartCache


@dataclass(frozen=True, eq=False)
class RegistrationCache:
    """Kept by a process that registers more than once.

    Args:
        networks: loaded networks.
        starts: affine starts of the pairs seen last.
    """

    networks: NetworkCache = field(default_factory=NetworkCache)
    starts: StartCache = field(default_factory=StartCache)
