"""What the panel says about a model: what it is for, what it needs, where its file is, and its licence."""

from __future__ import annotations

from slicer.i18n import tr as _

from ...weights.entry import ModelEntry


def size_text(count: int) -> str:
    """A number of bytes for people, such as 1.3 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def state_text(state: str) -> str:
    """Where the file of a model is; `state` as the store of weights names it."""
    texts = {
        "bundled": _("bundled"),
        "downloaded": _("downloaded"),
        "partly downloaded": _("partly downloaded"),
        "to download": _("to download"),
    }
    return texts.get(state, _("in your folder"))


def title_of(entry: ModelEntry, state: str) -> str:
    """What the list shows; it says so where something is still to be fetched."""
    return f"{entry.title} - {state_text(state)}" if state in ("to download", "partly downloaded") else entry.title


def facts_of(entry: ModelEntry, state: str, unfinished: int) -> list[str]:
    """What people need to choose a model.

    Args:
        entry: the model.
        state: where its file is.
        unfinished: bytes of it that an unfinished download has.
    """
    images = f"{entry.anatomy}, {entry.modality}" if entry.modality != "any" else _("any anatomy and modality")
    needs = (
        [_("affine start")] * entry.requires_affine
        + [_("centring")] * entry.requires_centring
        + [_("skull-stripped")] * entry.requires_skull_strip
    )
    licence = entry.licence or _("not stated by its authors")
    return [
        _("For: {images}").format(images=images),
        *([_("Needs: {needs}").format(needs=", ".join(needs))] if needs else []),
        _availability(entry, state, unfinished),
        _("Licence: {licence}").format(licence=licence),
    ]


def licence_question(entry: ModelEntry) -> str:
    """What a person is asked before a model of others, or a bundled one under another licence, is used."""
    bundled = entry.url is None
    text = (
        _("{title} comes with this extension, but under a licence of its own: {licence}.")
        if bundled
        else _("{title} comes from its authors under their own licence: {licence}.")
    )
    terms = text.format(title=entry.title, licence=entry.licence or _("not stated by its authors"))
    source = _("Source: {source}").format(source=_("bundled with this extension") if bundled else entry.url)
    citation = _("Cite: {citation}").format(citation=entry.citation or _("not stated"))
    unchecked = _(
        "Nobody published a checksum of this file: the first download cannot be checked, and later ones must equal it."
    )
    remarks = "" if bundled or entry.sha256 else f"\n\n{unchecked}"
    answer = _("Do you agree to use it under these terms? You are asked once per model.")
    return f"{terms}\n\n{source}\n{citation}{remarks}\n\n{answer}"


def _availability(entry: ModelEntry, state: str, unfinished: int) -> str:
    if entry.file is None:
        return _("nothing to download")
    size = size_text(entry.bytes) if entry.bytes else _("size unknown")
    if state == "partly downloaded":
        text = _("{done} of {size}") if entry.bytes else "{done}, {size}"
        size = text.format(done=size_text(unfinished), size=size)
    return f"{state_text(state)} ({size})"
