from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from support.http_server import Page, serve
from support.shared_data import weights_folder
from VoxelMorphLib.core.errors import Cancelled, ConfigError, OutputError, WeightsError
from VoxelMorphLib.weights import store
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.store import (
    delete_downloaded,
    downloaded_files,
    locate_weights,
    pin_notice,
    pin_path,
    read_pin,
    sha256_of,
    state,
    unfinished_bytes,
)

CONTENT = bytes(range(256)) * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serve({"/model.h5": Page(CONTENT)}) as running:
        yield running


@pytest.fixture
def an_entry(server) -> ModelEntry:
    return ModelEntry(
        id="mine",
        title="Mine",
        description="Aligns my images.",
        architecture="VxmDense",
        file="model.h5",
        url=server.url("/model.h5"),
        bytes=len(CONTENT),
        sha256=SHA256,
        format="keras",
    )


@pytest.fixture
def an_unpublished_checksum(an_entry) -> ModelEntry:
    return dataclasses.replace(an_entry, sha256=None, bytes=None)


@pytest.fixture
def a_user_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


@pytest.fixture
def a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    monkeypatch.setattr(store, "BUNDLED_FOLDER", folder)
    return folder


def test_the_first_use_fetches_and_the_second_does_not(an_entry, server, a_cache_folder):
    assert state(an_entry) == "to download"
    first = locate_weights(an_entry)
    assert first == a_cache_folder / "model.h5"
    assert first.read_bytes() == CONTENT
    assert state(an_entry) == "downloaded"
    server.pages.clear()
    assert locate_weights(an_entry) == first
    assert len(server.ranges_asked) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(an_entry, server, a_cache_folder):
    path = locate_weights(an_entry)
    path.write_bytes(CONTENT[:-1] + b"x")
    texts = []
    locate_weights(an_entry, progress=lambda _f, text: texts.append(text))
    assert path.read_bytes() == CONTENT
    assert any("model.h5 is damaged and is fetched again" in text for text in texts)


def test_a_damaged_file_that_cannot_be_fetched_is_not_used(an_entry, server):
    path = locate_weights(an_entry)
    path.write_bytes(CONTENT[:-1] + b"x")
    server.pages.clear()
    with pytest.raises(WeightsError, match="answered 404"):
        locate_weights(an_entry)


def test_a_bundled_file_comes_first(an_entry, server, a_bundle):
    (a_bundle / "model.h5").write_bytes(CONTENT)
    assert locate_weights(an_entry) == a_bundle / "model.h5"
    assert state(an_entry) == "bundled"
    assert server.ranges_asked == []


def test_a_damaged_bundled_file_is_refused(an_entry, a_bundle):
    (a_bundle / "model.h5").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r"model\.h5 does not match its checksum.*Reinstall the extension"):
        locate_weights(an_entry)


def test_the_users_file_is_recognised_whatever_its_name(an_entry, server, a_user_folder):
    (a_user_folder / "a.h5").write_bytes(CONTENT[::-1])
    (a_user_folder / "b").mkdir()
    (a_user_folder / "some copy.bin").write_bytes(CONTENT)
    assert locate_weights(an_entry, a_user_folder) == a_user_folder / "some copy.bin"
    assert locate_weights(dataclasses.replace(an_entry, bytes=None), a_user_folder).name == "some copy.bin"
    assert server.ranges_asked == []


def test_only_files_of_the_right_size_are_read(an_entry, a_user_folder):
    (a_user_folder / "another.h5").write_bytes(CONTENT + b"more")
    (a_user_folder / "copy.h5").write_bytes(CONTENT)
    texts = []
    locate_weights(an_entry, a_user_folder, lambda _f, text: texts.append(text))
    assert set(texts) == {"Checking copy.h5"}


def test_a_file_of_the_right_name_and_wrong_content_is_refused(an_entry, a_user_folder):
    (a_user_folder / "model.h5").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=rf"model\.h5 does not match its checksum .*sha256 {SHA256}.*Replace it"):
        locate_weights(an_entry, a_user_folder)


def test_a_folder_without_the_file_falls_back_to_the_web(an_entry, a_user_folder, a_cache_folder):
    assert locate_weights(an_entry, a_user_folder) == a_cache_folder / "model.h5"


def test_the_state_includes_the_users_folder(an_entry, a_user_folder, tmp_path):
    (a_user_folder / "model.h5").write_bytes(CONTENT[::-1])
    assert state(an_entry, a_user_folder) == "to download"
    (a_user_folder / "copy").write_bytes(CONTENT)
    assert state(an_entry, a_user_folder) == "in your folder"
    with pytest.raises(ConfigError, match="absent is no folder"):
        state(an_entry, tmp_path / "absent")


def test_a_missing_users_folder_is_refused(an_entry, tmp_path):
    with pytest.raises(ConfigError, match="absent is no folder"):
        locate_weights(an_entry, tmp_path / "absent")


def test_an_unpublished_checksum_is_kept_at_the_first_download(an_unpublished_checksum, server):
    texts = []
    assert pin_notice(an_unpublished_checksum) is None
    path = locate_weights(an_unpublished_checksum, progress=lambda _f, text: texts.append(text))
    assert read_pin(path) == SHA256
    assert texts[-1].startswith("Nobody published a checksum of model.h5, so its first download could not be checked;")
    assert texts[-1].endswith(f" it must stay {SHA256}.")
    assert pin_notice(an_unpublished_checksum) == texts[-1]
    path.write_bytes(CONTENT[::-1])
    server.pages["/model.h5"].content = b"another version"
    with pytest.raises(WeightsError, match=f"instead of {SHA256}; it was removed"):
        locate_weights(an_unpublished_checksum)


def test_a_file_put_into_the_cache_by_hand_is_kept(an_unpublished_checksum, server, a_cache_folder):
    a_cache_folder.mkdir()
    (a_cache_folder / "model.h5").write_bytes(CONTENT)
    assert locate_weights(an_unpublished_checksum) == a_cache_folder / "model.h5"
    assert read_pin(a_cache_folder / "model.h5") == SHA256
    assert server.ranges_asked == []


def test_a_users_file_of_unpublished_checksum_is_found_by_name(an_unpublished_checksum, server, a_user_folder):
    (a_user_folder / "model.h5").write_bytes(CONTENT)
    assert locate_weights(an_unpublished_checksum, a_user_folder) == a_user_folder / "model.h5"
    assert sorted(path.name for path in a_user_folder.iterdir()) == ["model.h5"]


def test_a_damaged_pin_is_refused(an_unpublished_checksum):
    pin_path(locate_weights(an_unpublished_checksum)).write_text("{")
    with pytest.raises(WeightsError, match=r"model\.h5\.pin\.json is damaged\. Delete it"):
        locate_weights(an_unpublished_checksum)


def test_a_pin_that_cannot_be_written_is_reported(an_unpublished_checksum, a_cache_folder):
    pin_path(a_cache_folder / "model.h5").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"model\.h5\.pin\.json cannot be written"):
        locate_weights(an_unpublished_checksum)
    assert sorted(path.name for path in a_cache_folder.iterdir()) == ["model.h5", "model.h5.pin.json"]


def test_a_model_without_weights_has_no_file(an_entry):
    optimise = load_catalogue()["optimise"]
    assert state(optimise) == "bundled"
    assert not delete_downloaded(optimise)
    assert unfinished_bytes(optimise) == 0
    assert pin_notice(optimise) is None
    with pytest.raises(ConfigError, match="The model optimise has no weights"):
        locate_weights(optimise)


def test_a_users_own_model_without_address_must_lie_in_the_cache(an_entry, a_cache_folder):
    own = dataclasses.replace(an_entry, url=None)
    with pytest.raises(WeightsError, match=r"weights of mine are missing: put model\.h5 at .*cache/model\.h5"):
        locate_weights(own)
    a_cache_folder.mkdir()
    (a_cache_folder / "model.h5").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match="does not match its checksum"):
        locate_weights(own)
    (a_cache_folder / "model.h5").write_bytes(CONTENT)
    assert locate_weights(own) == a_cache_folder / "model.h5"


def test_deleting_removes_the_file_its_pin_and_unfinished_pieces(an_unpublished_checksum, a_cache_folder):
    path = locate_weights(an_unpublished_checksum)
    (a_cache_folder / "model.h5.part").write_bytes(b"piece")
    assert delete_downloaded(an_unpublished_checksum)
    assert list(a_cache_folder.iterdir()) == []
    assert not delete_downloaded(an_unpublished_checksum)
    assert not path.exists()


def test_an_unfinished_download_is_a_state_of_its_own(an_entry, a_cache_folder):
    def cancel(_fraction: float, text: str) -> None:
        if text.startswith("Downloading"):
            raise Cancelled("stopped")

    assert unfinished_bytes(an_entry) == 0
    with pytest.raises(Cancelled):
        locate_weights(an_entry, progress=cancel)
    assert state(an_entry) == "partly downloaded"
    assert 0 < unfinished_bytes(an_entry) <= len(CONTENT)
    assert [file.name for file in downloaded_files(an_entry)] == ["model.h5.part", "model.h5.part.tag"]
    locate_weights(an_entry)
    assert state(an_entry) == "downloaded"
    assert [file.name for file in downloaded_files(an_entry)] == ["model.h5"]


def test_what_cannot_be_deleted_is_reported(an_entry, monkeypatch):
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "in use", str(self))

    locate_weights(an_entry)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=r"model\.h5 cannot be removed \(in use\)"):
        delete_downloaded(an_entry)


def test_checking_a_large_file_can_be_cancelled(an_entry, a_user_folder):
    def cancel(_fraction: float, _text: str) -> None:
        raise Cancelled("stopped")

    (a_user_folder / "model.h5").write_bytes(CONTENT)
    with pytest.raises(Cancelled):
        locate_weights(an_entry, a_user_folder, cancel)


def test_an_unreadable_file_is_reported(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        sha256_of(tmp_path)


@pytest.mark.parametrize("name", ["vxm-dense-brain-T1-mse", "vxm-cvpr2018-vm1-cc", "vxm-miccai2018"])
def test_published_files_are_recognised_by_their_checksum(name):
    entry = load_catalogue()[name]
    assert locate_weights(entry, weights_folder()) == weights_folder() / entry.file
