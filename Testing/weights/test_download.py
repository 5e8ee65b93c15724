from __future__ import annotations

import hashlib
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.http_server import Page, serve
from VoxelMorphLib.core.errors import Cancelled, OutputError, WeightsError
from VoxelMorphLib.weights.download import check_url, download

CONTENT = np.random.default_rng(1).bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.h5"


@pytest.fixture
def server():
    with serve({"/model.h5": Page(CONTENT)}) as running:
        yield running


def left_behind(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir()) if target.parent.is_dir() else []


class CancelAt:
    """A progress receiver that stops the work once `fraction` is reached, and keeps the texts."""

    def __init__(self, fraction: float):
        self.fraction = fraction
        self.texts: list[str] = []

    def __call__(self, fraction: float, text: str) -> None:
        self.texts.append(text)
        if fraction >= self.fraction:
            raise Cancelled("stopped")


def test_a_file_arrives_whole_and_alone(server, target):
    reports = []
    found = download(server.url("/model.h5"), target, len(CONTENT), SHA256, lambda *r: reports.append(r))
    assert found == SHA256
    assert target.read_bytes() == CONTENT
    assert left_behind(target) == ["model.h5"]
    assert reports[-1] == (1.0, "Downloading model.h5: 0.1 of 0.1 MB")


@pytest.mark.parametrize(
    ("size", "sha256", "announce"), [(None, None, None), (len(CONTENT), None, 0), (None, SHA256, 0)]
)
def test_one_way_to_tell_completeness_is_enough(server, target, size, sha256, announce):
    server.pages["/model.h5"].announce = announce
    assert download(server.url("/model.h5"), target, size, sha256) == SHA256
    assert target.read_bytes() == CONTENT


def test_a_file_whose_completeness_nothing_tells_is_refused(server, target):
    server.pages["/model.h5"].announce = 0
    with pytest.raises(WeightsError, match="does not say how large its file is"):
        download(server.url("/model.h5"), target)
    assert left_behind(target) == []


def test_a_broken_download_is_continued(server, target):
    server.pages["/model.h5"].break_after = 60_000
    with pytest.raises(WeightsError, match=r"broke off after 0\.1 of 0\.1 MB.*Try again: it continues there"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert left_behind(target) == ["model.h5.part", "model.h5.part.tag"]
    server.pages["/model.h5"].break_after = None
    download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert server.ranges_asked == [None, "bytes=60000-"]
    assert target.read_bytes() == CONTENT
    assert left_behind(target) == ["model.h5"]


def test_a_break_without_announced_length_is_noticed_by_the_known_size(server, target):
    server.pages["/model.h5"] = Page(CONTENT, announce=0, break_after=50_000)
    with pytest.raises(WeightsError, match="broke off"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)


def test_a_cancelled_download_is_continued(server, target):
    server.pages["/model.h5"].pause_s = 0.02
    cancel = CancelAt(0.3)
    with pytest.raises(Cancelled):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256, cancel)
    assert 0 < (target.parent / "model.h5.part").stat().st_size < len(CONTENT)
    server.pages["/model.h5"].pause_s = 0
    download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert server.ranges_asked[1].startswith("bytes=")
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server, target):
    server.pages["/model.h5"] = Page(CONTENT, break_after=60_000, ranges=False)
    with pytest.raises(WeightsError, match="broke off"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    server.pages["/model.h5"].break_after = None
    download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert target.read_bytes() == CONTENT


def test_pieces_of_two_versions_are_not_joined(server, target):
    server.pages["/model.h5"].break_after = 60_000
    with pytest.raises(WeightsError, match="broke off"):
        download(server.url("/model.h5"), target)
    newer = CONTENT[::-1]
    server.pages["/model.h5"] = Page(newer, etag='"2"')
    download(server.url("/model.h5"), target)
    assert target.read_bytes() == newer


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_checksum_and_version_a_download_starts_over(server, target, etag):
    server.pages["/model.h5"] = Page(CONTENT, etag=etag, break_after=60_000)
    with pytest.raises(WeightsError, match="broke off"):
        download(server.url("/model.h5"), target)
    server.pages["/model.h5"].break_after = None
    assert download(server.url("/model.h5"), target) == SHA256
    assert server.ranges_asked == [None, None]


def test_a_piece_longer_than_the_file_is_dropped(server, target):
    target.parent.mkdir()
    (target.parent / "model.h5.part").write_bytes(CONTENT + b"more")
    download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert server.ranges_asked == ["bytes=100004-", None]
    assert target.read_bytes() == CONTENT


def test_a_complete_piece_needs_no_server(target):
    target.parent.mkdir()
    (target.parent / "model.h5.part").write_bytes(CONTENT)
    download("https://127.0.0.1:9/model.h5", target, len(CONTENT), SHA256)
    assert left_behind(target) == ["model.h5"]


def test_a_piece_of_the_right_size_and_wrong_content_is_fetched_again(server, target):
    target.parent.mkdir()
    (target.parent / "model.h5.part").write_bytes(CONTENT[::-1])
    download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert target.read_bytes() == CONTENT


def test_six_fetches_at_once_all_end_well(server, target):
    with ThreadPoolExecutor(6) as pool:
        fetches = [pool.submit(download, server.url("/model.h5"), target, len(CONTENT), SHA256) for _ in range(6)]
        assert [fetch.result() for fetch in fetches] == [SHA256] * 6
    assert target.read_bytes() == CONTENT
    assert left_behind(target) == ["model.h5"]


def test_two_processes_may_fetch_the_same_file(server, target):
    def other_process(_fraction: float, _text: str) -> None:
        if not target.exists():
            (target.parent / "model.h5.part").replace(target)

    assert download(server.url("/model.h5"), target, len(CONTENT), SHA256, other_process) == SHA256
    assert target.read_bytes() == CONTENT
    assert left_behind(target) == ["model.h5"]


def test_a_wrong_checksum_removes_the_file(server, target):
    with pytest.raises(WeightsError, match=f"checksum {SHA256} instead of {'0' * 64}; it was removed"):
        download(server.url("/model.h5"), target, len(CONTENT), "0" * 64)
    assert left_behind(target) == []


def test_an_existing_file_stays_until_the_new_one_is_complete(server, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(WeightsError, match="it was removed"):
        download(server.url("/model.h5"), target, len(CONTENT), "0" * 64)
    assert target.read_bytes() == b"old"
    download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert target.read_bytes() == CONTENT


BAD_ANSWERS = [
    (Page(b"gone", status=404), r"answered 404 .*can be put at .*model\.h5"),
    (Page(b"broken", status=500), "answered 500"),
    (Page(b"<html>log in</html>", content_type="text/html; charset=utf-8"), "web page.*login"),
    (Page(b"\n<!DOCTYPE HTML><title>log in</title>", announce=0), "web page.*login"),
    (Page(CONTENT[:500]), "offers a file of 500 bytes instead of 100000"),
    (Page(CONTENT + b"x", announce=0), "sent more than 100000 bytes; all was removed"),
    (Page(b"", announce=0), "broke off after 0.0"),
    (Page(status=302, location="http://example.org/model.h5"), "only https addresses are allowed"),
    (Page(status=302, location="file:///etc/hostname"), "only https addresses are allowed|answered 302"),
]


@pytest.mark.parametrize(("page", "message"), BAD_ANSWERS)
def test_wrong_answers_leave_nothing(server, target, page, message):
    server.pages["/model.h5"] = page
    with pytest.raises(WeightsError, match=message):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert left_behind(target) == []


def test_an_empty_file_of_unknown_size_is_refused(server, target):
    server.pages["/model.h5"] = Page(b"")
    with pytest.raises(WeightsError, match=r"broke off after 0\.0 MB"):
        download(server.url("/model.h5"), target)
    assert left_behind(target) == []


def test_a_login_page_does_not_cost_what_was_already_fetched(server, target):
    server.pages["/model.h5"].break_after = 60_000
    with pytest.raises(WeightsError, match="broke off"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    server.pages["/model.h5"] = Page(b"<html>", content_type="text/html", ranges=False)
    with pytest.raises(WeightsError, match="web page"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert (target.parent / "model.h5.part").stat().st_size == 60_000


def test_a_piece_from_elsewhere_is_refused(server, target):
    server.pages["/model.h5"].break_after = 60_000
    with pytest.raises(WeightsError, match="broke off"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    server.pages["/model.h5"] = Page(CONTENT, range_start=0)
    with pytest.raises(WeightsError, match="another piece than the one asked for"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert left_behind(target) == []


def test_redirections_on_this_machine_are_followed(server, target):
    server.pages["/old"] = Page(status=302, location=server.url("/model.h5"))
    assert download(server.url("/old"), target, len(CONTENT), SHA256) == SHA256


def test_an_unreachable_server_names_the_address_and_the_folder(target):
    with serve({}) as gone:
        url = gone.url("/model.h5")
    with pytest.raises(WeightsError, match=rf"{url} cannot be reached .* put it at {target}"):
        download(url, target, len(CONTENT), SHA256)
    assert left_behind(target) == []


@pytest.mark.slow
def test_a_silent_server_is_given_up(server, target):
    server.pages["/model.h5"].pause_s = 3
    with pytest.raises(WeightsError, match=r"broke off after 0\.0 of 0\.1 MB"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256, timeout_s=0.3)


FORBIDDEN = ["http://example.org/m.h5", "ftp://example.org/m", "file:///etc/hostname", "m.h5", "https://", "http://["]
ALLOWED = ["https://example.org/m.h5", "http://localhost/m", "http://127.0.0.1:80/m", "http://[::1]/m"]


def test_a_proxy_that_refuses_is_named_without_its_password(target, monkeypatch):
    with serve({}) as proxy:  # answers CONNECT by an error page, as proxies do that want a login
        address = proxy.url("").removeprefix("http://").rstrip("/")
        monkeypatch.setenv("https_proxy", f"http://me:secret@{address}")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(WeightsError, match=rf"through the proxy {address} \(.*Log in to the proxy") as caught:
            download("https://models.example/model.h5", target, len(CONTENT), SHA256)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", FORBIDDEN)
def test_only_https_is_allowed(url):
    with pytest.raises(WeightsError, match="only https addresses"):
        check_url(url)


@pytest.mark.parametrize("url", ALLOWED)
def test_https_and_this_machine_are_allowed(url):
    check_url(url)


def test_an_address_that_no_request_can_hold_is_refused(target):
    with pytest.raises(WeightsError, match="cannot be reached"):
        download("https://127.0.0.1:9/a b\n.h5", target)


def test_a_folder_that_cannot_be_made_is_reported(server, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(OutputError, match=r"cannot be written .*set VXM_CACHE"):
        download(server.url("/model.h5"), tmp_path / "cache" / "model.h5", len(CONTENT), SHA256)


def test_a_disk_with_too_little_space_is_refused_before_the_download(server, target, monkeypatch):
    usage = shutil.disk_usage(target.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"needs 0\.1 MB more in .*cache, where 0\.0 MB are free"):
        download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    assert left_behind(target) == []


def test_a_disk_that_fills_up_leaves_nothing(server, target):
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX only")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OutputError, match="Free space on the disk"):
            download(server.url("/model.h5"), target, len(CONTENT), SHA256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert left_behind(target) == []


@pytest.mark.parametrize("announce", [10**300, "\u00b2", "-5", "many"])
def test_an_impossible_length_is_no_traceback(server, target, announce):
    server.pages["/model.h5"].announce = announce
    with pytest.raises(WeightsError):
        download(server.url("/model.h5"), target)
