"""A folder of images to the rows of a batch: all of its pairs, or each image onto a template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.errors import ConfigError
from ..core.io.image_lists import is_bids, list_paths, own_label_map
from ..core.io.names import stem, unique_names
from ..core.io.paths import exists, expanded, is_folder
from .pairs import Common, Pairs, unused_id
from .places import bids_place, plain_place, safe_name
from .row import Row


class FolderPairs(Pairs):
    """Every ordered pair of the images of a folder, a list or a BIDS folder, or each of them onto one template.

    Args:
        source: what `list_paths` takes.
        common: of all rows.
        template: fixed image of all rows; None pairs every image with every other one.
        labels: list of label maps in the order of the images; empty takes those that the images bring along.
        template_labels: of the template.

    Raises:
        ConfigError: a list that names nothing, or too few images.
    """

    def __init__(
        self,
        source: str,
        common: Common,
        template: Path | None = None,
        labels: str = "",
        template_labels: Path | None = None,
    ):
        self.common = common
        self.template = None if template is None else expanded(template).absolute()
        self._template_labels = None if template_labels is None else expanded(template_labels).absolute()
        images = list_paths(source, "all or folder")
        maps = list_paths(labels, "labels") if labels else [own_label_map(image) for image in images]
        if len(maps) != len(images):
            raise ConfigError(
                f"labels names {len(maps)} label maps for the {len(images)} images of {source}. Give one for each "
                "image, in the same order."
            )
        kept = [at for at, image in enumerate(images) if self.template is None or not _same(image, self.template)]
        self.images, self.labels = [images[at] for at in kept], [maps[at] for at in kept]
        self._check(source)
        self.names = _safe_names(self.images)
        folder = expanded(source)
        self.is_bids = is_folder(folder) and is_bids(folder)
        self.sources = tuple(filter(None, (self.template,)))
        pairs = len(self.images) * (len(self.images) - 1)
        self.count = pairs if self.template is None else len(self.images)

    def rows(self) -> Iterator[Row]:
        number = 0
        fixed_images = [self._fixed_template()] if self.template is not None else list(self._all_fixed())
        for at, (fixed, fixed_labels, fixed_name) in enumerate(fixed_images):
            for place, (moving, labels, name) in enumerate(zip(self.images, self.labels, self.names)):
                if self.template is None and at == place:
                    continue
                number += 1
                maps = {"fixedLabels": fixed_labels, "movingLabels": labels}
                files = {"fixed": str(fixed), "moving": str(moving)}
                files.update({column: str(path) for column, path in maps.items() if path})
                row_id = f"{name}_to_{fixed_name}"
                where = bids_place(moving, fixed_name) if self.is_bids else plain_place(row_id)
                yield Row(number, row_id, files, self.common.model, dict(self.common.options), where)

    def _check(self, source: str) -> None:
        if self.template is not None and not exists(self.template):
            raise ConfigError(f"The template {self.template} does not exist. Check the name and the folder.")
        if len(self.images) < (2 if self.template is None else 1):
            raise ConfigError(f"{source} has {len(self.images)} images to register. Give a folder with more of them.")

    def _fixed_template(self) -> tuple[Path, Path | None, str]:
        assert self.template is not None
        return self.template, self._template_labels or own_label_map(self.template), safe_name(stem(self.template))

    def _all_fixed(self) -> Iterator[tuple[Path, Path | None, str]]:
        return zip(self.images, self.labels, self.names)


def _safe_names(images: Sequence[Path]) -> list[str]:
    """Names that folders can have, all different."""
    names: list[str] = []
    taken: set[int] = set()
    for image, name in zip(images, unique_names(images)):
        made, _problem = unused_id(safe_name(name), str(image), taken)
        names.append(made)
    return names


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
