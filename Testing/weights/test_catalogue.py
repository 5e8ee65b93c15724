from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.weights.architectures import ARCHITECTURES
from VoxelMorphLib.weights.catalogue import catalogue_problems, find_entry, load_catalogue
from VoxelMorphLib.weights.download import check_url
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER, default_cache_folder

#: sha256 and bytes of the files that their authors serve, recorded from the files themselves.
PUBLISHED = {
    "vxm-dense-brain-T1-mse": ("8e5fe6bcbca68b4fa867864460315fdaa7e00139cd522379cea79db5e63a9e3c", 1323288),
    "synthmorph-shapes": (None, None),
    "synthmorph-brains": (None, None),
    "synthmorph-affine-2": ("1ac5304b683036e5177f5b4ad38fa09fcbbe7883e742d6fa5bdaedd0e619ced6", 51455312),
    "synthmorph-rigid-1": ("284c145fce47e98ecf3fdeda2163f646ac3ebb0240e87dd50d71d879f4d5b3af", 51656152),
    "synthmorph-deform-3": ("95b367cd30788cc647e4704b650642fc1d70d7e419c20c04f1ba1b2902bc6536", 3508630424),
    "synthmorph-joint-3": ("95b367cd30788cc647e4704b650642fc1d70d7e419c20c04f1ba1b2902bc6536", 3508630424),
    "vxm-cvpr2018-vm1-cc": ("11099f47b0cb15226b48cd0228e43bebeaffa7c615c659fb4797c0d1837cae90", 1110344),
    "vxm-cvpr2018-vm1-mse": ("97d3093a61ac4660510c729329ecb107a9a342e719727e7e73d69693541502e8", 1110344),
    "vxm-cvpr2018-vm2-cc": ("ab94aceb10a5462f695d018adef4f7d3e558cc0d76a392c76e7f78f0d98d6b61", 1278136),
    "vxm-cvpr2018-vm2-mse": ("6225ee716ca02fdb47bea685edb299eab1bc2d89b71a1e721982fe3ddf92178e", 1278048),
    "vxm-miccai2018": ("09440b0730b736628d9d589256d74f18f69d219c6744ce5bbbb2b5ce3eb3ccd0", 1139008),
    "vxm-atlas-2019": (None, None),
    "vxm-atlas-2019-age-sex": (None, None),
}


@pytest.fixture
def a_row() -> dict:
    return {
        "id": "mine",
        "title": "Mine",
        "description": "Aligns my images.",
        "architecture": {"class": "VxmDense", "arguments": {"inshape": [16, 16, 16]}},
        "file": "mine.safetensors",
        "format": "safetensors",
    }


def write_catalogue(folder: Path, *rows: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "models.json"
    path.write_text(json.dumps({"models": list(rows)}))
    return path


def test_every_published_model_is_listed_with_its_checksum():
    catalogue = load_catalogue()
    assert {name: (entry.sha256, entry.bytes) for name, entry in catalogue.items() if entry.url} == PUBLISHED


def test_every_shipped_row_states_every_key():
    keys = {f.name for f in dataclasses.fields(ModelEntry)} - {"arguments"}
    for row in json.loads((BUNDLED_FOLDER / "models.json").read_text(encoding="utf-8"))["models"]:
        assert set(row) == keys, row["id"]


def test_shipped_files_have_allowed_addresses_and_their_own_names():
    for entry in load_catalogue().values():
        if entry.url:
            check_url(entry.url)
            assert entry.url.endswith(f"/{entry.file}")


@pytest.mark.parametrize("name", ["optimise", "linear"])
def test_what_needs_no_weights_brings_any_pair_together_first(name):
    entry = load_catalogue()[name]
    assert (entry.architecture, entry.file, entry.url, entry.modality) == (name, None, None, "any")
    assert entry.affine_start == "affine"
    assert entry.available
    assert entry.requires_affine
    assert not entry.requires_skull_strip


def test_the_brain_models_work_in_freesurfer_space():
    space = NetworkSpace(1.0, "LIA", (160, 192, 224), 16, "foreground", "freesurfer")
    for name in ("vxm-dense-brain-T1-mse", "vxm-cvpr2018-vm1-cc", "vxm-cvpr2018-vm2-mse", "vxm-miccai2018"):
        assert load_catalogue()[name].space == space


def test_shapes_are_multiples_of_the_networks_strides():
    for entry in load_catalogue().values():
        assert all(extent % entry.space.multiple == 0 for extent in entry.space.shape or ())


def test_every_model_can_be_run():
    assert [name for name, entry in load_catalogue().items() if not entry.available] == []
    unknown = dataclasses.replace(load_catalogue()["synthmorph-affine-2"], architecture="VxmTransformer")
    assert not unknown.available


@pytest.mark.parametrize(("name", "module"), ARCHITECTURES.items())
def test_every_architecture_exists(name, module):
    assert isinstance(getattr(importlib.import_module(f"VoxelMorphLib.networks.{module}"), name), type)


def test_listing_models_imports_no_torch():
    code = "import sys; from VoxelMorphLib.weights.catalogue import load_catalogue; load_catalogue(); "
    code += "sys.exit('torch' in sys.modules)"
    library = Path(sys.modules["VoxelMorphLib"].__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=library, timeout=60)


def test_entries_come_back_from_their_plain_values():
    for entry in load_catalogue().values():
        plain = json.loads(json.dumps(entry.to_dict()))
        assert ModelEntry.from_dict(plain) == entry


def test_entries_can_be_keys():
    assert len(set(load_catalogue().values())) == len(load_catalogue())


def test_an_unknown_id_names_the_nearest_and_all():
    with pytest.raises(
        ConfigError, match=r"no model 'vxm-dense-brain'\. Did you mean vxm-dense-brain-T1-mse\?.*one of: "
    ):
        find_entry("vxm-dense-brain")
    with pytest.raises(ConfigError, match=r"no model 'zzz'\. Give a weights file or one of: optimise, "):
        find_entry("zzz")


def test_the_users_own_models_come_after_the_shipped_ones(a_row, a_cache_folder):
    write_catalogue(a_cache_folder, a_row)
    assert list(load_catalogue())[-1] == "mine"
    assert find_entry("mine").arguments == {"inshape": [16, 16, 16]}
    assert find_entry("mine").space == NetworkSpace()


def test_the_users_model_cannot_take_a_shipped_id(a_row, a_cache_folder):
    write_catalogue(a_cache_folder, {**a_row, "id": "optimise"})
    assert load_catalogue()["optimise"].title != a_row["title"]
    (problem,) = catalogue_problems()
    assert "models.json has a model 'optimise', which the extension has too" in problem


def test_one_wrong_entry_of_the_user_stops_no_other_model(a_row, a_cache_folder):
    write_catalogue(a_cache_folder, {**a_row, "id": "a b"}, None, a_row, {**a_row, "bytes": -1})
    assert {"optimise", "mine"} <= set(load_catalogue())
    assert len(catalogue_problems()) == 3
    with pytest.raises(ConfigError, match=r"no model 'mind'\..*needs an id of letters"):
        find_entry("mind")


@pytest.mark.parametrize("text", ["{", "[]", '{"models": 5}', "[" * 100000])
def test_a_damaged_catalogue_of_the_user_stops_no_model(a_cache_folder, text):
    a_cache_folder.mkdir(exist_ok=True)
    (a_cache_folder / "models.json").write_text(text)
    assert "optimise" in load_catalogue()
    assert "models.json" in catalogue_problems()[0]


def test_ids_are_unique(a_row, tmp_path):
    with pytest.raises(ConfigError, match="two models 'mine'"):
        load_catalogue(write_catalogue(tmp_path, a_row, a_row))


def nested(depth: int) -> list:
    """A list in a list, and so on."""
    return [nested(depth - 1)] if depth else []


WRONG_ROWS = [
    ({"colour": "red"}, "'mine' has unknown colour. Keys: id, title"),
    ({"id": "a b"}, "needs an id of letters"),
    ({"id": 7}, "has 7 of the wrong type as id"),
    ({"title": " "}, "needs a title and a description of one line"),
    ({"description": "two\nlines"}, "description of one line"),
    ({"architecture": "VxmDense"}, "architecture of the keys class and arguments"),
    ({"architecture": {"class": "VxmDense"}}, "architecture of the keys class and arguments"),
    ({"architecture": {"class": "VxmDense", "arguments": []}}, r"has \[\] of the wrong type as arguments"),
    ({"file": None}, "needs a file, unless its architecture is optimise or linear"),
    ({"file": "../../etc/passwd"}, "plain name without folders"),
    ({"file": ".."}, "plain name without folders"),
    ({"format": "pickle"}, "'pickle'; choose one of keras, safetensors, torch"),
    ({"sha256": "abc"}, "64 lower-case hexadecimal digits"),
    ({"bytes": -1}, "size of -1 bytes"),
    ({"bytes": "12"}, "'12' of the wrong type as bytes"),
    ({"requires_affine": "no"}, "'no' of the wrong type as requires_affine"),
    ({"space": {"spacing": 1}}, "NetworkSpace has no option spacing"),
    ({"space": {"orientation": "XYZ"}}, "orientation is 'XYZ'"),
    ({"space": {"orientation": 5}}, "space"),
    ({"space": {"shape": [10**9] * 3}}, "give three whole numbers from 1 to 4096"),
    ({"space": {"shape": [16, 16]}}, "give three whole numbers"),
    ({"space": {"shape": ["16", "16", "16"]}}, "give three whole numbers"),
    ({"space": {"shape": [16.0, 16.0, 16.0]}}, "give three whole numbers"),
    ({"space": {"shape": [0, 16, 16]}}, "give three whole numbers"),
    ({"space": {"shape": 16}}, "give three whole numbers"),
    ({"space": {"multiple": 1.5}}, "multiple is 1.5; give a whole number"),
    ({"space": {"voxel_size": "1"}}, "voxel_size is '1'"),
    ({"architecture": {"class": "VxmDense", "arguments": {"levels": 10**400}}}, "numbers beyond 4096"),
    ({"architecture": {"class": "VxmDense", "arguments": {"features": nested(100)}}}, "foreign values as arguments"),
    ({"architecture": {"class": "VxmDense", "arguments": {"features": [1] * 5000}}}, "foreign values as arguments"),
    ({"space": [1]}, "needs an object as space and lists as measured, labels, attributes"),
    ({"measured": {"dice": 1}}, "needs an object as space and lists as measured, labels, attributes"),
    ({"measured": [{"dice": 1}]}, "measurement whose keys are not command, data, metric, value"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_ROWS)
def test_wrong_rows_are_refused_with_the_file_and_the_reason(a_row, tmp_path, change, message):
    path = write_catalogue(tmp_path, {**a_row, **change})
    with pytest.raises(ConfigError, match=message) as error:
        load_catalogue(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("key", ["id", "title", "description", "architecture"])
def test_missing_keys_are_named(a_row, tmp_path, key):
    del a_row[key]
    with pytest.raises(ConfigError, match=f"lacks {key}"):
        load_catalogue(write_catalogue(tmp_path, a_row))


@pytest.mark.parametrize("row", [None, 5, "mine", []])
def test_rows_that_are_no_objects_are_refused(tmp_path, row):
    with pytest.raises(ConfigError, match="must be a JSON object"):
        load_catalogue(write_catalogue(tmp_path, row))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"models": {}}', '{"models": [], "more": 1}', "[" * 100000])
def test_files_of_another_form_are_refused(tmp_path, text):
    path = tmp_path / "models.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"The model catalogue .*models\.json"):
        load_catalogue(path)


def test_binary_and_missing_files_are_refused(tmp_path):
    (tmp_path / "models.json").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "models.json", tmp_path / "absent.json"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_catalogue(path)


def test_the_cache_folder_is_visible_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("VXM_CACHE")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_cache_folder() == tmp_path / ".VoxelMorphSlicer" / "models"
    monkeypatch.setenv("VXM_CACHE", "/somewhere")
    assert default_cache_folder() == Path("/somewhere")


def test_an_account_without_home_is_told_what_to_set(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("VXM_CACHE")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigError, match="Set VXM_CACHE to a folder"):
        default_cache_folder()
