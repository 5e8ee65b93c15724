"""TemplateRequest: which template to make, whoever asks for it and wherever it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Union

from ..core.image import Image
from .request import RegistrationRequest, portable_model


@dataclass(frozen=True, eq=False)
class TemplateRequest:
    """The template of a model for one subject.

    Args:
        model: id of the model catalogue, or a weights file, that keeps a template.
        attributes: of the subject, by name, such as {"age": 71}; the middle of the training for those left out.
        base: image that the generated one is added to, of files that do not hold it.
        weights_dir: folder that is searched for weight files before anything is downloaded.
    """

    model: str | Path
    attributes: Mapping[str, float] = field(default_factory=dict)
    base: Image | None = None
    weights_dir: Path | None = None

    def portable(self) -> TemplateRequest:
        """The same request for a process in another working folder: model files and folders by absolute paths."""
        folder = None if self.weights_dir is None else Path(self.weights_dir).absolute()
        return replace(self, model=portable_model(self.model), weights_dir=folder)


#: What a process that computes for the application can be asked for.
Request = Union[RegistrationRequest, TemplateRequest]
