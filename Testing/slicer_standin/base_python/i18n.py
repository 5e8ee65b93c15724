"""slicer.i18n for a user whose language is English."""

from __future__ import annotations


def translate(_context: str, text: str) -> str:
    """The text as it is."""
    return text


def tr(text: str) -> str:
    """The text as it is."""
    return text
