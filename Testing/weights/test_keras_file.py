"""Keras HDF5 files: what is listed and read, and everything that is refused before it can do harm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.keras_files import write_keras
from VoxelMorphLib.core.errors import DependencyError, WeightsError
from VoxelMorphLib.weights.keras_file import read_keras

KERNEL = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
LAYERS = {"first": {"kernel": KERNEL, "bias": np.ones(4, np.float32)}}


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("class_name", ["VxmDense", None])
def test_layers_come_in_their_order_with_names_of_both_types(tmp_path, as_bytes, class_name):
    layers = {"b": LAYERS["first"], "a": {"kernel": KERNEL}}
    path = write_keras(tmp_path / "a.h5", layers, class_name, {"x": 1}, weightless=["input"], as_bytes=as_bytes)
    file = read_keras(path)
    assert [layer.name for layer in file.layers] == ["b", "a"]
    assert file.layers[0].shapes == {"kernel": (3, 3, 2, 4), "bias": (4,)}
    assert (file.class_name, file.config) == (class_name, {"x": 1} if class_name else {})
    assert np.array_equal(file.read(file.layers[0])["kernel"], KERNEL)


def test_layers_of_a_nested_model_come_one_by_one(tmp_path):
    path = write_keras(tmp_path / "a.h5", {"model/one": {"kernel": KERNEL}, "model/two": {"kernel": KERNEL + 1}})
    file = read_keras(path)
    assert [layer.name for layer in file.layers] == ["one", "two"]
    assert np.array_equal(file.read(file.layers[1])["kernel"], KERNEL + 1)


def test_names_inside_a_layer_need_not_match_it(tmp_path):
    """Old files hold "flow_34/kernel:0" in the layer "flow"."""
    path = write_keras(tmp_path / "a.h5", LAYERS)
    with h5py.File(path, "a") as file:
        file["first"].move("first", "first_34")
        file["first"].attrs["weight_names"] = [b"first_34/kernel:0", b"first_34/bias:0"]
    assert [layer.name for layer in read_keras(path).layers] == ["first"]


def test_long_lists_of_names_are_put_together(tmp_path):
    """Keras splits what exceeds the size of an HDF5 attribute."""
    layers = dict.fromkeys(("a", "b", "c"), LAYERS["first"])
    path = write_keras(tmp_path / "a.h5", layers)
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a", b"b"], [b"c"]
    assert [layer.name for layer in read_keras(path).layers] == ["a", "b", "c"]


@pytest.mark.parametrize("dtype", ["<f2", "<f8", ">f4"])
def test_every_kind_of_real_number_becomes_float32(tmp_path, dtype):
    file = read_keras(write_keras(tmp_path / "a.h5", {"a": {"kernel": KERNEL.astype(dtype)}}))
    kernel = file.read(file.layers[0])["kernel"]
    assert kernel.dtype == np.float32
    assert np.array_equal(kernel, KERNEL)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"none.h5 does not exist"):
        read_keras(tmp_path / "none.h5")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not this", b"\x89HDF\r\n\x1a\n"])
def test_other_content_is_refused(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"a.h5 is damaged or no HDF5 file .* Get a fresh copy"):
        read_keras(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = write_keras(tmp_path / "a.h5", {f"layer_{i}": LAYERS["first"] for i in range(9)}, "VxmDense", {})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(WeightsError, match=r"a.h5 is damaged"):
        read_keras(path)


def test_a_file_that_changes_after_its_description_is_refused(tmp_path):
    path = write_keras(tmp_path / "a.h5", LAYERS)
    file = read_keras(path)
    write_keras(path, {"other": LAYERS["first"]})
    with pytest.raises(WeightsError, match="has no array /first/first/kernel:0"):
        file.read(file.layers[0])


def without_names(file: h5py.File) -> None:
    del file.attrs["layer_names"]


def numbers_as_names(file: h5py.File) -> None:
    file.attrs["layer_names"] = np.arange(3)


def real_numbers_as_names(file: h5py.File) -> None:
    file.attrs["layer_names"] = np.arange(3.0)


def references_as_names(file: h5py.File) -> None:
    file.attrs["layer_names"] = np.array([file["first"].ref], dtype=h5py.ref_dtype)


def too_many_names(file: h5py.File) -> None:
    del file.attrs["layer_names"]
    for part in range(6):
        file.attrs[f"layer_names{part}"] = np.array([b"first"] * 4000)


def a_missing_layer(file: h5py.File) -> None:
    del file["first"]


def a_missing_array(file: h5py.File) -> None:
    del file["first/first/kernel:0"]


def a_group_instead_of_an_array(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file.create_group("first/first/kernel:0")


def an_array_instead_of_a_group(file: h5py.File) -> None:
    del file["first"]
    file["first"] = KERNEL


def an_external_link(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first/kernel:0"] = h5py.ExternalLink("/etc/hostname", "/kernel")


def a_soft_link(file: h5py.File) -> None:
    del file["first/first"]
    file["first/first"] = h5py.SoftLink("/elsewhere")


def a_way_up(file: h5py.File) -> None:
    file["first"].attrs["weight_names"] = [b"../first/first/kernel:0"]


def external_storage(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first"].create_dataset("kernel:0", KERNEL.shape, "f4", external=[("/etc/hostname", 0, 288)])


def a_virtual_array(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    layout = h5py.VirtualLayout(KERNEL.shape, "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "kernel", KERNEL.shape)
    file["first/first"].create_virtual_dataset("kernel:0", layout)


def compound_numbers(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first/kernel:0"] = np.zeros(4, dtype=[("a", "f4"), ("b", "f4")])


def texts(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first/kernel:0"] = np.array(["a", "b"], dtype=h5py.string_dtype())


def whole_numbers(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first/kernel:0"] = KERNEL.astype(int)


def a_bomb(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first"].create_dataset(
        "kernel:0", (3, 3, 10**6, 10**6), "f4", chunks=(3, 3, 64, 64), compression="gzip"
    )


def a_small_bomb(file: h5py.File) -> None:
    del file["first/first/kernel:0"]
    file["first/first"].create_dataset("kernel:0", data=np.zeros((3, 3, 512, 512), "f4"), compression="gzip")


def one_array_many_times(file: h5py.File) -> None:
    del file["first/first/bias:0"]
    file["first/first/bias:0"] = np.zeros(4096, "f4")
    names = [f"again_{i}" for i in range(200)]
    for name in names:
        file[name] = file["first"]
    file.attrs["layer_names"] = [name.encode() for name in names]


def an_invalid_configuration(file: h5py.File) -> None:
    file.attrs["model_config"] = "{'class_name': os.system}"


def a_deep_configuration(file: h5py.File) -> None:
    file.attrs["model_config"] = "[" * 20_000


def a_configuration_without_class(file: h5py.File) -> None:
    file.attrs["model_config"] = '{"config": {}}'


def a_configuration_of_numbers(file: h5py.File) -> None:
    file.attrs["model_config"] = '{"class_name": 3, "config": {}}'


def a_configuration_that_is_a_number(file: h5py.File) -> None:
    file.attrs["model_config"] = 3


def no_weights_at_all(file: h5py.File) -> None:
    file["first"].attrs["weight_names"] = np.array([])


REFUSED: list[tuple[Callable[[h5py.File], None], str]] = [
    (without_names, "has no layer_names in /, so Keras did not write it"),
    (numbers_as_names, "has an attribute layer_names that holds no names"),
    (real_numbers_as_names, "names a layer 0.0, which is no text"),
    (references_as_names, "names a layer <HDF5 object reference>, which is no text"),
    (too_many_names, "lists 24000 names"),
    (a_missing_layer, "has no layer /first"),
    (a_missing_array, "has no array /first/first/kernel:0"),
    (a_group_instead_of_an_array, "has no array /first/first/kernel:0"),
    (an_array_instead_of_a_group, "has no layer /first"),
    (an_external_link, "has a link in /first/first/kernel:0 that leads elsewhere"),
    (a_soft_link, "has a link in /first/first/kernel:0 that leads elsewhere"),
    (a_way_up, "has no array /first/../first/first/kernel:0"),
    (external_storage, "takes /first/first/kernel:0 from another file"),
    (a_virtual_array, "takes /first/first/kernel:0 from another file"),
    (compound_numbers, "holds .* instead of real numbers"),
    (texts, "holds object in /first/first/kernel:0 instead of real numbers"),
    (whole_numbers, "holds int64 in /first/first/kernel:0 instead of real numbers"),
    (a_bomb, "claims 36000000000000 bytes in /first/first/kernel:0 but is only"),
    (a_small_bomb, "claims 9437184 bytes in /first/first/kernel:0 but is only"),
    (one_array_many_times, "claims 3334400 bytes of weights but is only"),
    (an_invalid_configuration, "has a model configuration that is no valid JSON description of a model"),
    (a_deep_configuration, "has a model configuration that is no valid JSON description of a model"),
    (a_configuration_without_class, "has a model configuration that is no valid JSON description of a model"),
    (a_configuration_of_numbers, "has a model configuration without class and arguments"),
    (a_configuration_that_is_a_number, "has an attribute model_config that holds no names"),
    (no_weights_at_all, "has no layers with weights"),
]


@pytest.mark.parametrize(("spoil", "text"), REFUSED, ids=[spoil.__name__ for spoil, _ in REFUSED])
def test_a_spoilt_file_is_refused_with_its_fault(tmp_path, spoil, text):
    path = write_keras(tmp_path / "spoilt.h5", LAYERS)
    with h5py.File(path, "a") as file:
        spoil(file)
    with pytest.raises(WeightsError, match=rf"spoilt.h5 {text}.*\. Get a fresh copy") as caught:
        read_keras(path)
    assert str(caught.value).count(str(path)) == 1


def test_without_h5py_the_package_is_named(tmp_path, monkeypatch):
    path: Path = write_keras(tmp_path / "a.h5", LAYERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DependencyError, match="pip install h5py"):
        read_keras(path)
