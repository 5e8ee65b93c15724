"""summary.html: one self-contained page about a training, with curves, pictures and settings."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.geometry import Geometry
from ...report.figures import Series, curves_figure
from ...report.html import write_page
from ..options import TrainingConfig
from ..validation import Pictures, Registered
from .curves import Monitor, columns_of, read_curves
from .pictures import Throttle, image_picture, image_row, pair_pictures

FILE = "summary.html"
#: Columns of the table of variants, where they were measured.
_OF_VARIANTS = ("val_dice", "val_back_dice", "val_folded_percent", "val_image_loss", "val_back_image_loss")


class Summary(Monitor):
    """Writes the page after validations, at most once a minute, and at the end.

    Args:
        path: of the page.
        curves: path of the table of curves, which another monitor updates first.
        config: of the training.
        geometry: of the training space.
        skipped: name of a file that could not be read -> reason; may grow while the training runs.
    """

    def __init__(
        self, path: Path, curves: Path, config: TrainingConfig, geometry: Geometry, skipped: Mapping[str, str]
    ):
        self.path, self.curves, self.config, self.shows = path, curves, config, str(path)
        self.geometry, self.skipped = geometry, skipped
        self._pictures, self._due, self._epochs = Pictures(), Throttle(), 0

    def begin(self, epoch: int, epochs: int) -> None:
        """Remember the number of epochs."""
        self._epochs = epochs

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """Write the page when there are new pictures and the last page is old."""
        self._pictures = pictures or self._pictures
        if pictures and self._due():
            self._write()

    def end(self) -> None:
        """Write the final page."""
        self._write()

    def _write(self) -> None:
        rows = read_curves(self.curves)
        if not rows:
            return
        write_page(
            self.path,
            "training.html",
            title=f"Training: {self.config.recipe}",
            subtitle=f"{self.config.output_dir}, {datetime.datetime.now():%d %B %Y, %H:%M}",
            cards=_cards(rows, self._epochs),
            warnings=[f"{name} was left out: {reason}" for name, reason in self.skipped.items()],
            curves=curves_figure(_panels(rows)),
            pairs=[self._drawn(pair) for pair in self._pictures.pairs],
            learned=[
                {"name": name, "png": image_picture(name, array, self.geometry)}
                for name, array in self._pictures.images.items()
            ],
            made=image_row(self._pictures.made, self.geometry) if self._pictures.made else None,
            variants=_variants(rows),
            settings=[(name, _text(value)) for name, value in self.config.to_dict().items()],
        )

    def _drawn(self, pair: Registered) -> dict[str, str | bytes]:
        images, agreement = pair_pictures(pair, self.geometry)
        return {"name": pair.name, "images": images, "agreement": agreement}


def _series(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Series:
    """Curves of some columns (name of a column -> name of its curve) against the epochs."""
    return {title: [(row["epoch"], row[name]) for row in rows if name in row] for name, title in columns.items()}


def _panels(rows: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    terms = {name: name.replace("loss_", "") for name in columns_of(rows, "loss")}
    variants = columns_of(rows, "val_dice@") or columns_of(rows, "val_image_loss@")
    dice = {"val_dice": "mean", **{name: name[len("val_dice_") :] for name in columns_of(rows, "val_dice_")}}
    back = columns_of(rows, "val_back_dice_")
    dice |= {"val_back_dice": "mean, back", **{name: f"{name[len('val_back_dice_') :]}, back" for name in back}}
    return {
        "training loss": _series(rows, terms),
        "validation: Dice": _series(rows, dice),
        "validation: image loss": _series(
            rows, {"val_image_loss": "image loss", "val_back_image_loss": "image loss, back"}
        ),
        "validation: folded voxels, %": _series(rows, {"val_folded_percent": "folded"}),
        "validation: variants": _series(rows, {name: name.partition("@")[2] for name in variants}),
    }


def _cards(rows: Sequence[Mapping[str, Any]], epochs: int) -> list[tuple[str, str]]:
    last = rows[-1]
    cards = [(f"{last['epoch']} of {epochs}", "epochs"), (f"{last['loss']:.4g}", "last training loss")]
    validated = [row for row in rows if "val_image_loss" in row]
    if any("val_dice" in row for row in validated):
        best = max((row for row in validated if "val_dice" in row), key=lambda row: _both(row, "dice"))
        cards.append((f"{best['val_dice']:.3f}", f"best mean Dice, epoch {best['epoch']}"))
        if "val_back_dice" in best:
            cards.append((f"{best['val_back_dice']:.3f}", "mean Dice of that epoch, fixed to moving by the inverse"))
    elif validated:
        best = min(validated, key=lambda row: _both(row, "image_loss"))
        cards.append((f"{best['val_image_loss']:.4g}", f"best image loss, epoch {best['epoch']}"))
        if "val_back_image_loss" in best:
            cards.append((f"{best['val_back_image_loss']:.4g}", "image loss of that epoch, fixed to moving"))
    if validated:
        cards.append((f"{best['val_folded_percent']:.3g} %", "of voxels folded in that epoch"))
    return [*cards, (f"{sum(row['seconds'] for row in rows) / 60:.1f} min", "of training and validation")]


def _variants(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last validation of every variant as "measures" and "rows"; empty where there are no variants."""
    names = [name.partition("@")[2] for name in columns_of(rows, "val_image_loss@")]
    last = next((row for row in reversed(rows) if "val_image_loss" in row), {})
    measures = [name for name in _OF_VARIANTS if name in last]
    body = [(name, *(_text(last.get(f"{measure}@{name}", "")) for measure in measures)) for name in names]
    return {"measures": measures, "rows": body} if body else {}


def _both(row: Mapping[str, Any], measure: str) -> float:
    """The sum of both directions; trainings begun by an earlier version measured one of them."""
    there = row[f"val_{measure}"]
    return there + row.get(f"val_back_{measure}", there)


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
