from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def a_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test; the user's own is never touched."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VXM_CACHE", str(folder))
    return folder
