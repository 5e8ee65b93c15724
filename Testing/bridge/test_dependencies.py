"""Missing packages: what is needed when, one question with sizes, refusals and failures; nothing is installed here."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from types import SimpleNamespace

import pytest
from support.repository import REPOSITORY
from VoxelMorphLib.bridge import install as packages_module
from VoxelMorphLib.bridge.install import (
    H5PY,
    LIGHTNING,
    MATPLOTLIB,
    NIBABEL,
    SAFETENSORS,
    TORCH,
    Installed,
    Installer,
    check,
    ensure,
    load_torch,
    note_unloadable,
    packages_for_file,
    packages_for_model,
    question,
)
from VoxelMorphLib.core.errors import ConfigError, DependencyError, TorchLoadError
from VoxelMorphLib.weights.catalogue import load_catalogue


@pytest.fixture(autouse=True)
def no_application(monkeypatch):
    """Other tests may have left one in testing mode, which installs nothing."""
    monkeypatch.setitem(sys.modules, "slicer", SimpleNamespace())


class MadeUpPython(Installed):
    """An environment that is a dictionary: version by name, None for files that are gone, "loaded" names apart."""

    def __init__(self, loaded=(), broken=(), **versions):
        self.versions, self.loaded, self.broken = versions, set(loaded), set(broken)

    def version(self, name):
        return self.versions.get(name)

    def is_importable(self, name):
        return name in self.versions and name not in self.broken

    def is_loaded(self, name):
        return name in self.loaded


class MadeUpInstaller(Installer):
    """Installs into a made-up Python and writes down what it was asked for."""

    def __init__(self, python, has_extension=True, error=None, delivers=True):
        self.python, self.has_extension, self.error, self.delivers = python, has_extension, error, delivers
        self.log = []

    def pip_install(self, requirements):
        self.log.append(("pip", requirements))
        self._work([requirement.split(">=") for requirement in requirements])

    def torch_logic(self):
        return self if self.has_extension else None

    def installTorch(self, askConfirmation, torchVersionRequirement):
        self.log.append(("torch", askConfirmation, torchVersionRequirement))
        self._work([("torch", torchVersionRequirement.strip(">="))])
        return SimpleNamespace() if self.delivers else None

    def uninstallTorch(self, askConfirmation):
        self.log.append(("uninstall", askConfirmation))

    def install_torch_extension(self):
        self.log.append(("extension",))
        self._work([])
        return self.delivers

    def _work(self, packages):
        if self.error is not None:
            raise self.error
        if self.delivers:
            self.python.versions.update(packages)
            self.python.broken -= {name for name, _version in packages}


class Person:
    """Answers questions and remembers them."""

    def __init__(self, answer):
        self.answer, self.questions = answer, []

    def __call__(self, text):
        self.questions.append(text)
        return self.answer


FRESH = {"torch": "2.13.0+cu128", "h5py": "3.11.0", "safetensors": "0.5", "nibabel": "5.0", "matplotlib": "3.10"}


def test_each_model_needs_only_what_its_format_needs():
    formats = {entry.format: entry.id for entry in load_catalogue().values()}
    assert packages_for_model("optimise") == packages_for_model(None) == (TORCH,)
    assert packages_for_model(formats["keras"]) == (TORCH, H5PY)
    if "safetensors" in formats:
        assert packages_for_model(formats["safetensors"]) == (TORCH, SAFETENSORS)
    with pytest.raises(ConfigError, match="no model 'nonsense'"):
        packages_for_model("nonsense")


def test_own_weight_files_are_judged_by_their_content(tmp_path):
    contents = {
        b"\x89HDF\r\n\x1a\n": (TORCH, H5PY),
        b"PK\x03\x04": (TORCH,),
        b"\2" + 7 * b"\0" + b"{}": (TORCH, SAFETENSORS),
    }
    for index, (head, needed) in enumerate(contents.items()):
        path = tmp_path / f"weights{index}.bin"
        path.write_bytes(head + 20 * b"\0")
        assert packages_for_model(path) == packages_for_model(str(path)) == needed


def test_only_freesurfer_files_need_nibabel(tmp_path):
    assert packages_for_file("a.mgz") == packages_for_file(tmp_path / "B.MGH") == (NIBABEL,)
    assert packages_for_file("a.nii.gz") == packages_for_file("a.nrrd") == ()


def test_the_versions_are_those_of_the_requirements_file():
    text = (REPOSITORY / "VoxelMorphSlicer" / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    listed = {line for line in text.splitlines() if line and not line.startswith("#")}
    assert listed == {package.requirement for package in (NIBABEL, H5PY, SAFETENSORS, MATPLOTLIB, LIGHTNING)}


@pytest.mark.parametrize("testing", [True, False])
def test_slicers_own_agreement_in_testing_mode_counts_for_nothing(monkeypatch, testing):
    app = SimpleNamespace(testingEnabled=lambda: testing)
    monkeypatch.setitem(sys.modules, "slicer", SimpleNamespace(app=app))
    assert Installer().is_attended() == (not testing)
    python = MadeUpPython()
    person, installer = Person(True), MadeUpInstaller(python)
    if not testing:
        ensure((H5PY,), person, installer, python)
    else:
        with pytest.raises(DependencyError, match=r"Nothing was installed\. Without h5py"):
            ensure((H5PY,), person, installer, python)
    assert bool(installer.log) == bool(person.questions) == (not testing)


def test_without_an_application_the_caller_answers(monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", SimpleNamespace())
    assert Installer().is_attended()
    monkeypatch.setitem(sys.modules, "slicer", None)
    assert Installer().is_attended()


def test_what_is_there_is_not_asked_for():
    person, python = Person(False), MadeUpPython(**FRESH)
    installer = MadeUpInstaller(python)
    ensure((TORCH, H5PY, SAFETENSORS, NIBABEL, MATPLOTLIB), person, installer, python)
    assert not person.questions and not installer.log


def test_missing_old_and_broken_packages_are_told_apart():
    python = MadeUpPython(torch="1.13.1+cu117", h5py="3.10.0", nibabel="4.9", broken=["h5py"])
    problems = {item.package.name: item.problem for item in check((TORCH, H5PY, NIBABEL, SAFETENSORS), python)}
    assert problems == {"torch": "too old", "h5py": "broken", "nibabel": "too old", "safetensors": "missing"}
    assert check((TORCH,), MadeUpPython(torch="2.1")) == check((TORCH,), MadeUpPython(torch="2.10.0a1")) == []


def test_the_last_torch_for_intel_macs_is_not_too_old():
    assert check((TORCH,), MadeUpPython(torch="2.2.2")) == []


def test_this_python_is_read_without_importing_anything():
    installed = Installed()
    assert installed.version("numpy") == importlib.metadata.version("numpy")
    assert installed.version("no-such-package") is None and not installed.is_importable("no_such_package")
    assert installed.is_importable("json") and not installed.is_importable("json.no.such")
    assert installed.is_loaded("sys") and not installed.is_loaded("no_such_package")
    before = set(sys.modules)
    check((TORCH, H5PY, MATPLOTLIB))
    assert not {"torch", "h5py", "matplotlib"} & (set(sys.modules) - before)


def test_one_question_names_everything_with_its_size():
    person, python = Person(True), MadeUpPython(torch="1.9")
    installer = MadeUpInstaller(python)
    ensure((TORCH, H5PY), person, installer, python)
    (text,) = person.questions
    assert "torch 2.1 or newer to register volumes (too old: 1.9; download: about 200 MB, up to 3 GB" in text
    assert "h5py 3.8 or newer to read published Keras weights (.h5) (not installed; download: about 5 MB)" in text
    assert text.endswith("Install them now?") and "extension" not in text
    assert installer.log == [("torch", False, ">=2.1"), ("pip", ["h5py>=3.8"])]


def test_pip_brings_no_torch_of_its_own():
    """Packages that need torch are installed after the one that the extension chose, and never without it."""
    python = MadeUpPython()
    installer = MadeUpInstaller(python)
    ensure((LIGHTNING, TORCH), Person(True), installer, python)
    assert [entry[0] for entry in installer.log] == ["torch", "pip"]
    python = MadeUpPython()
    installer = MadeUpInstaller(python, has_extension=False)
    with pytest.raises(DependencyError, match="PyTorch extension was installed"):
        ensure((LIGHTNING, TORCH), Person(True), installer, python)
    assert installer.log == [("extension",)]


def test_a_torch_that_another_process_cannot_load_is_installed_again():
    python = MadeUpPython(torch="2.13")
    installer = MadeUpInstaller(python)
    note_unloadable(DependencyError("h5py is not installed. Install it."))
    assert check((TORCH,), python) == []
    note_unloadable(TorchLoadError("PyTorch cannot be loaded (libcudart.so.12). Install PyTorch."))
    person = Person(True)
    ensure((TORCH,), person, installer, python)
    assert "cannot be loaded (libcudart.so.12)" in person.questions[0]
    assert [entry[0] for entry in installer.log] == ["uninstall", "torch"]
    assert check((TORCH,), python) == []


def test_an_extension_that_knows_no_requirement_installs_torch():
    class Older(MadeUpInstaller):
        def installTorch(self, askConfirmation):
            return super().installTorch(askConfirmation, ">=2.1")

    python = MadeUpPython()
    ensure((TORCH,), Person(True), Older(python), python)
    assert python.versions == {"torch": "2.1"}


def test_declining_installs_nothing():
    python = MadeUpPython()
    installer = MadeUpInstaller(python)
    with pytest.raises(DependencyError, match=r"Nothing was installed\. Without torch, h5py this cannot be done"):
        ensure((TORCH, H5PY), Person(False), installer, python)
    assert not installer.log and not python.versions


def test_broken_torch_is_removed_first():
    python = MadeUpPython(torch="2.5", broken=["torch"])
    installer = MadeUpInstaller(python)
    person = Person(True)
    ensure((TORCH,), person, installer, python)
    assert "version 2.5 is registered but its files are missing" in person.questions[0]
    assert installer.log == [("uninstall", False), ("torch", False, ">=2.1")]


def test_without_the_extension_it_comes_first_and_slicer_must_be_restarted():
    python = MadeUpPython()
    installer, person = MadeUpInstaller(python, has_extension=False), Person(True)
    with pytest.raises(DependencyError, match=r"PyTorch extension was installed\. Restart Slicer") as caught:
        ensure((TORCH,), person, installer, python)
    assert caught.value.restart_required and installer.log == [("extension",)]
    assert "the PyTorch extension, which chooses the PyTorch that fits this computer" in person.questions[0]


def test_replacing_a_package_in_use_needs_a_restart():
    python = MadeUpPython(torch="1.9", loaded=["torch"])
    with pytest.raises(DependencyError, match=r"torch was replaced\. Restart Slicer") as caught:
        ensure((TORCH,), Person(True), MadeUpInstaller(python), python)
    assert caught.value.restart_required


@pytest.mark.parametrize(
    ("packages", "has_extension", "name"),
    [((H5PY,), True, "h5py"), ((TORCH,), True, "torch"), ((TORCH,), False, "the PyTorch extension")],
)
def test_a_failing_installation_says_why(packages, has_extension, name):
    python = MadeUpPython()
    error = OSError("Network is unreachable\nmore lines")
    installer = MadeUpInstaller(python, has_extension, error)
    with pytest.raises(DependencyError, match=rf"{name} could not be installed \(Network is unreachable\)\. Check"):
        ensure(packages, Person(True), installer, python)
    installer = MadeUpInstaller(python, has_extension, delivers=False)
    with pytest.raises(DependencyError, match=rf"{name} could not be installed \("):
        ensure(packages, Person(True), installer, python)


def test_loading_torch_explains_what_is_wrong():
    marker = object()
    assert load_torch(lambda name: marker) is marker

    def fail_with(error):
        def load(_name):
            raise error

        return load

    with pytest.raises(DependencyError, match=r"PyTorch is not installed\. Install it in the module PyTorch Utils"):
        load_torch(fail_with(ModuleNotFoundError("No module named 'torch'", name="torch")))
    for error in (
        ModuleNotFoundError("No module named 'sympy'", name="sympy"),
        ImportError("libcudart.so.12: cannot open shared object file"),
        OSError("[WinError 126] shm.dll"),
    ):
        with pytest.raises(DependencyError, match=r"cannot be loaded \(.*(sympy|libcudart|shm)") as caught:
            load_torch(fail_with(error))
        assert caught.value.restart_required


def test_pip_comes_from_the_newest_place(monkeypatch):
    calls = []
    modern = types.ModuleType("slicer.packaging")
    modern.pip_install = lambda requirements: calls.append(("packaging", requirements))
    slicer = types.ModuleType("slicer")
    slicer.util = types.ModuleType("slicer.util")
    slicer.util.pip_install = lambda requirements: calls.append(("util", requirements))
    for module in (slicer, slicer.util, modern):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    Installer().pip_install(["h5py>=3.8"])
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    Installer().pip_install(["h5py>=3.8"])
    assert calls == [("packaging", ["h5py>=3.8"]), ("util", ["h5py>=3.8"])]


def test_the_extension_is_found_and_fetched_through_slicer(monkeypatch):
    assert Installer().torch_logic() is None
    utils = types.ModuleType("PyTorchUtils")
    utils.PyTorchUtilsLogic = lambda: "the logic"
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    assert Installer().torch_logic() == "the logic"
    calls = []
    manager = SimpleNamespace(
        updateExtensionsMetadataFromServer=lambda *args: calls.append(args),
        installExtensionFromServer=lambda *args: calls.append(args) or True,
    )
    slicer = types.ModuleType("slicer")
    slicer.app = SimpleNamespace(extensionsManagerModel=lambda: manager)
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    assert Installer().install_torch_extension() is True
    assert calls == [(True, True), ("PyTorch", False, False)]


def test_questions_can_be_asked_of_any_selection():
    text = question(check((MATPLOTLIB,), MadeUpPython()))
    assert "matplotlib 3.7 or newer to draw reports (not installed; download: about 20 MB)" in text
    assert packages_module.MATPLOTLIB.requirement == "matplotlib>=3.7"
