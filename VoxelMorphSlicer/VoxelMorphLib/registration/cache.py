"""RegistrationCache: what one registration leaves for the next.

Who registers a pair again, by another model or with more smoothness, does not wait for its start again; who only wants
another interpolation or another output does not wait for the network either.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .alignment import Alignment
from .initialisation import Start
from .memo import Memo, NetworkCache


@dataclass(frozen=True, eq=False)
class RegistrationCache:
    """Kept by a process that registers more than once.

    Args:
        networks: loaded networks.
        starts: affine starts of the pairs seen last.
        alignments: transforms of the pair seen last, in both directions.
    """

    networks: NetworkCache = field(default_factory=NetworkCache)
    starts: Memo[Start] = field(default_factory=lambda: Memo(16))
    alignments: Memo[Alignment] = field(default_factory=lambda: Memo(1))

    @classmethod
    def of_application(cls) -> RegistrationCache:
        """For a process that does other work too: one network and the starts, but no fields, which may take 0.8 GB."""
        return cls(NetworkCache(capacity=1), alignments=Memo(0))

    def clear(self) -> None:
        """Free what takes memory."""
        self.networks.clear()
        self.alignments.clear()
