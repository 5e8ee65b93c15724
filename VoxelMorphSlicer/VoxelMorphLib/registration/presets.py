"""Presets: a model and settings under a name, as JSON files of the extension or the user, to be edited and shared."""

from __future__ import annotations

import dataclasses
import difflib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.config import RegistrationOptions, Settings
from ..core.errors import AccessError, ConfigError, OutputError
from ..core.io.files import check_readable, extension, make_folder, replacing
from ..core.io.names import stem
from ..core.io.paths import entries, is_file, is_folder
from ..core.options import changed_options, options_of
from ..weights.catalogue import DEFAULT_MODEL
from ..weights.folders import default_cache_folder

#: Presets that come with the extension; beside the library in the source tree and in the installed extension.
BUNDLED_PRESETS = Path(__file__).resolve().parents[2] / "Resources" / "Presets"
#: The preset that has every option at its default; lists begin with it.
GENERAL = "general"
#: What belongs to a machine or a run; presets leave it as it is.
NOT_KEPT = ("device", "seed")
#: Where the folder of own presets cannot be made.
_REMEDY = "Allow writing there."
#: No preset is longer, bytes.
_LONGEST = 100_000


@dataclass(frozen=True)
class Preset(Settings):
    """A complete way to register: options that it does not name have their defaults.

    Args:
        title: what lists show.
        description: when to choose it.
        model: id of the model catalogue, or a weights file.
        options: values of `RegistrationOptions` by field.

    Raises:
        ConfigError: an option that does not exist, is impossible, or belongs to the machine.
    """

    title: str
    description: str = ""
    model: str = DEFAULT_MODEL
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("title", "description", "model"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; give a text.")
        if not self.title.strip() or not self.model:
            raise ConfigError("A preset needs a title and a model. Give both.")
        if not isinstance(self.options, dict):
            raise ConfigError(f"options is {self.options!r}; give options by name.")
        kept = [name for name in NOT_KEPT if name in self.options]
        if kept:
            raise ConfigError(f"{kept[0]} belongs to one computer or run, not to a preset. Remove it.")
        RegistrationOptions.from_dict(self.options)

    @classmethod
    def of(cls, title: str, model: str, options: RegistrationOptions, description: str = "") -> Preset:
        """The preset of what was chosen."""
        changed = {known.field for known, _text in changed_options(options)} - set(NOT_KEPT)
        return cls(title, description, model, {name: getattr(options, name) for name in sorted(changed)})

    def applied(self, options: RegistrationOptions | None = None) -> RegistrationOptions:
        """The options of this preset, with what it leaves alone as in `options`."""
        kept = {} if options is None else {name: getattr(options, name) for name in NOT_KEPT}
        return RegistrationOptions.from_dict({**self.options, **kept})

    def settings(self) -> dict[str, Any]:
        """What `register` and the module's logic take: `model` and `options`."""
        return {"model": self.model, "options": self.applied()}


def own_folder() -> Path:
    """Folder of the user's own presets; it may not exist yet.

    Raises:
        ConfigError: there is no place for one.
    """
    return default_cache_folder() / "presets"


def presets() -> tuple[dict[str, Preset], list[str]]:
    """All presets by name: those of the extension, then the user's own; and a sentence for each that cannot be used.

    The name of a preset is that of its file. An own file cannot take the name of one of the extension.
    """
    found: dict[str, Preset] = {}
    problems: list[str] = []
    paths: list[Path] = []
    for folder in (lambda: BUNDLED_PRESETS, own_folder):  # those of the extension need no folder of the user
        try:
            paths += _files(folder())
        except (AccessError, ConfigError) as error:
            problems.append(str(error))
    for path in paths:
        try:
            preset = read_preset(path)
        except ConfigError as error:
            problems.append(str(error))
            continue
        if stem(path) in found:
            problems.append(f"{path} has the name of a preset of the extension and is left out. Rename it.")
        found.setdefault(stem(path), preset)
    return found, problems


def find_preset(name: str | Path) -> Preset:
    """The preset of a name or file.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    if extension(name) == ".json":
        return read_preset(name)
    known, problems = presets()
    if str(name) in known:
        return known[str(name)]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    hint += "".join(f" {problem}" for problem in problems[:1])
    raise ConfigError(f"There is no preset {str(name)!r}.{hint} Give a .json file or one of: {', '.join(known)}.")


def read_preset(path: str | Path) -> Preset:
    """The preset of a file.

    Raises:
        ConfigError: it cannot be read, or is no preset.
    """
    path = check_readable(path, ConfigError)
    try:
        with path.open(encoding="utf-8") as file:
            values = json.loads(file.read(_LONGEST))
        if not isinstance(values, dict):
            raise ConfigError("it holds no object with title, model and options.")
        unknown = sorted(values.keys() - {known.name for known in dataclasses.fields(Preset)})
        if unknown or "title" not in values:
            raise ConfigError(f"it has {', '.join(unknown) or 'no title'}. A preset has title, model and options.")
        return Preset(**values)
    except ConfigError as error:
        raise ConfigError(f"{path} is no preset: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no preset: it cannot be read as JSON. Save it from the panel anew.") from error


def save_preset(preset: Preset) -> str:
    """Keep a preset among the user's own; one of the same title is replaced. Returns its name.

    Raises:
        ConfigError: the title has no letters or digits, or its name is one of the extension's.
        OutputError: it cannot be written; an older one is as it was.
    """
    name = _name(preset.title)
    folder = make_folder(own_folder(), _REMEDY)
    text = json.dumps(preset.to_dict(), indent=2, ensure_ascii=False) + "\n"
    with replacing(folder / f"{name}.json") as file:
        file.write_text(text, encoding="utf-8")
    return name


def import_preset(path: str | Path) -> str:
    """Copy the file of somebody's preset among the user's own; one of the same file name is replaced.

    Returns:
        Its name.

    Raises:
        ConfigError: it is no preset, or has a name of the extension's.
        OutputError: it cannot be copied.
    """
    read_preset(path)
    name = _name(stem(Path(path)))
    with replacing(make_folder(own_folder(), _REMEDY) / f"{name}.json") as file:
        shutil.copyfile(path, file)
    return name


def remove_preset(name: str) -> None:
    """Delete one of the user's own presets.

    Raises:
        ConfigError: there is no own preset of that name.
        OutputError: it cannot be deleted.
    """
    path = own_folder() / f"{name}.json"
    if not is_own_preset(name):
        raise ConfigError(f"{name!r} is no preset of yours. Only your own can be deleted.")
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be deleted ({error.strerror}). Close what uses it.") from error


def is_own_preset(name: str) -> bool:
    """Whether a preset is the user's own."""
    try:
        return name not in _bundled() and is_file(own_folder() / f"{name}.json")
    except (AccessError, ConfigError):
        return False


def preset_of(model: str, options: RegistrationOptions, known: dict[str, Preset]) -> str:
    """The name of the preset that amounts to a model and options; "" where none does."""
    same = ((name, preset) for name, preset in known.items() if preset.model == model)
    return next((name for name, preset in same if preset.applied(options) == options), "")


def described(known: dict[str, Preset]) -> Iterator[str]:
    """A line for each preset: name, title, and what differs from the defaults."""
    names = {name: described.name for name, described in options_of(RegistrationOptions).items()}
    for name, preset in known.items():
        values = [f"--{names[option]} {value}" for option, value in preset.options.items()]
        yield f"{name:20} {preset.title} (--model {preset.model}{''.join(f' {value}' for value in values)})"


def _files(folder: Path) -> list[Path]:
    files = [path for path in entries(folder) if extension(path) == ".json"] if is_folder(folder) else []
    return sorted(files, key=lambda path: (stem(path) != GENERAL, path.name))


def _bundled() -> list[str]:
    return [stem(path) for path in _files(BUNDLED_PRESETS)]


def _name(title: str) -> str:
    """A file name that all systems take."""
    words = "".join(letter if letter.isalnum() else " " for letter in title.lower()).split()
    name = "-".join(words)[:60]
    if not name:
        raise ConfigError(f"The title {title!r} has no letters or digits. Choose another one.")
    if name in _bundled():
        raise ConfigError(f"{name} is the name of a preset of the extension. Choose another title.")
    return name
