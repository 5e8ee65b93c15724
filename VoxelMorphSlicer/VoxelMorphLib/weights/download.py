"""Downloads: resumed after an interruption, checked, and either complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

from ..core.errors import OutputError, WeightsError
from ..core.io.locks import locked
from ..core.io.paths import is_file
from ..core.progress import Progress, silent

_CHUNK = 1 << 18
#: Largest file that is accepted when neither the catalogue nor the server says its size; a checksum must be known then.
_UNANNOUNCED_LIMIT = 1 << 30
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NETWORK_ERRORS = (OSError, http.client.HTTPException)
_REPORT_INTERVAL_S = 0.1

_REREAD_CHUNK = 1 << 22


def download(
    url: str,
    path: Path,
    size: int | None = None,
    sha256: str | None = None,
    progress: Progress = silent,
    timeout_s: float = 30.0,
) -> str:
    """Download one file; an attempt that broke off or was cancelled is resumed by the next.

    Args:
        url: https, or http on this machine.
        path: of the complete file; until then `<name>.part` beside it holds the bytes.
        size: expected bytes; None where unknown.
        sha256: expected checksum; None where unknown.
        progress: receives megabytes; raising `Cancelled` from it keeps the bytes so far.
        timeout_s: how long the server may send nothing.

    Returns:
        The SHA-256 of the file.

    Raises:
        WeightsError: the server cannot be reached, refuses, or sends something else than this file.
        OutputError: the folder cannot be written or the disk is full.
    """
    check_url(url)
    waited = False

    def waiting() -> None:
        nonlocal waited
        waited = True
        progress(0.0, f"Waiting for another program that downloads {path.name}")

    with contextlib.suppress(OSError):  # PartialFile tells what is wrong with the folder
        path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f"{path.name}.part.lock"), float("inf"), waiting):
        fetched = _fetched_by_others(path, size, sha256) if waited else ""
        return fetched or _download(url, path, size, sha256, progress, timeout_s)


def _fetched_by_others(path: Path, size: int | None, sha256: str | None) -> str:
    """The checksum of the file that another program has downloaded meanwhile; "" if it is not there."""
    if not is_file(path) or (size is not None and path.stat().st_size != size):
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_REREAD_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() if sha256 in (None, digest.hexdigest()) else ""


def _download(url: str, path: Path, size: int | None, sha256: str | None, progress: Progress, timeout_s: float) -> str:
    with PartialFile(path) as part:
        complete = part.size == size if sha256 is None else part.sha256 == sha256
        if not complete:
            _fetch(url, part, size, sha256, progress, timeout_s)
        if sha256 is not None and part.sha256 != sha256:
            found = part.sha256
            part.discard()
            raise WeightsError(
                f"{url} sent a file with the checksum {found} instead of {sha256}; it was removed. Try again; if it "
                "happens twice, the file there has changed or something on the way alters it."
            )
        part.complete()
        return part.sha256


def check_url(url: str) -> None:
    """Refuse addresses from which weights must not come.

    Raises:
        WeightsError: neither https nor this machine.
    """
    scheme, host = _scheme_and_host(url)
    if not (scheme == "https" and host) and not (scheme == "http" and host in _LOOPBACK):
        raise WeightsError(f"Weights are not fetched from {url}: only https addresses are allowed. Correct the entry.")


def _scheme_and_host(url: str) -> tuple[str, str | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname
    except ValueError:
        return "", None


def _fetch(url: str, part: PartialFile, size: int | None, sha256: str | None, progress: Progress, wait: float) -> None:
    if part.size and not (sha256 or part.validator):
        part.restart()  # nothing could tell whether the two pieces belong together
    with contextlib.closing(_request(url, part, wait)) as response:
        continued = response.status == http.HTTPStatus.PARTIAL_CONTENT
        total = _announced(url, response, part, size, part.size if continued else 0)
        if total is None and sha256 is None:
            raise WeightsError(
                f"{url} does not say how large its file is, so a broken download could not be told from a complete "
                f"one. Fetch the file with a browser and put it at {part.target}."
            )
        if not continued:
            part.restart(_validator(response))
        _check_space(part, (total or part.size) - part.size)
        _receive(url, response, part, total, progress)


def _request(url: str, part: PartialFile, wait: float) -> http.client.HTTPResponse:
    """The answer to a request for the bytes that are missing; the part is empty if it must start over."""
    try:
        response = _open(url, part, wait)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not part.size:
            raise WeightsError(
                f"{url} answered {error.code} {error.reason}. Look whether the model has moved; "
                f"a file from elsewhere can be put at {part.target}."
            ) from error
        part.restart()
        return _request(url, part, wait)
    except WeightsError:
        raise
    except (*_NETWORK_ERRORS, ValueError) as error:
        raise WeightsError(_offline(url, part, error)) from error
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if response.status == http.HTTPStatus.PARTIAL_CONTENT and (not start or int(start.group(1)) != part.size):
        response.close()
        part.discard()
        raise WeightsError(f"{url} answered with another piece than the one asked for; all was removed. Try again.")
    return response


def _open(url: str, part: PartialFile, wait: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "VoxelMorphSlicer", "Accept-Encoding": "identity"})
    if part.size:
        request.add_header("Range", f"bytes={part.size}-")
        if part.validator:
            request.add_header("If-Range", part.validator)
    handlers: list[urllib.request.BaseHandler] = [_HttpsRedirects()]
    if _scheme_and_host(url)[1] in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers).open(request, timeout=wait)


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to addresses that would be allowed themselves."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _validator(response: http.client.HTTPResponse) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _announced(
    url: str, response: http.client.HTTPResponse, part: PartialFile, size: int | None, offset: int
) -> int | None:
    """Bytes of the whole file as the server sees it, compared with what the catalogue says."""
    if response.headers.get_content_type() == "text/html":
        raise WeightsError(_web_page(url, part))
    length = response.headers.get("Content-Length", "")
    announced = offset + int(length) if re.fullmatch(r"[0-9]{1,15}", length) else None  # any number of digits may come
    if size is not None and announced not in (None, size):
        part.discard()
        raise WeightsError(f"{url} offers a file of {announced} bytes instead of {size}. The model there has changed.")
    return size or announced


def _check_space(part: PartialFile, needed: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise OutputError(
            f"{part.target.name} needs {needed / 1e6:.1f} MB more in {part.path.parent}, where {free / 1e6:.1f} MB are "
            "free. Free some space, or set VXM_CACHE to another folder."
        )


def _receive(
    url: str, response: http.client.HTTPResponse, part: PartialFile, total: int | None, progress: Progress
) -> None:
    reported = 0.0
    for chunk in _chunks(url, response, part, total):
        if part.size == 0 and chunk.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
            part.discard()
            raise WeightsError(_web_page(url, part))
        part.append(chunk)
        if part.size > (total or _UNANNOUNCED_LIMIT):
            part.discard()
            raise WeightsError(f"{url} sent more than {total or _UNANNOUNCED_LIMIT} bytes; all was removed. Try again.")
        if time.monotonic() - reported > _REPORT_INTERVAL_S or part.size == total:
            reported = time.monotonic()
            progress(part.size / total if total else 0.0, f"Downloading {part.target.name}: {_amount(part, total)}")
    if part.size < (total or 1):
        raise WeightsError(_broken(url, part, total, "the server stopped"))


def _chunks(url: str, response: http.client.HTTPResponse, part: PartialFile, total: int | None) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except _NETWORK_ERRORS as error:
            raise WeightsError(_broken(url, part, total, _reason(error))) from error
        if not chunk:
            return
        yield chunk


def _amount(part: PartialFile, total: int | None) -> str:
    return f"{part.size / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{part.size / 1e6:.1f} MB"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)


def _offline(url: str, part: PartialFile, error: BaseException) -> str:
    proxy = _proxy(url)
    if proxy:
        return (
            f"{url} cannot be reached through the proxy {proxy} ({_reason(error)}). Log in to the proxy, correct its "
            f"address in the system's settings, or fetch the file elsewhere and put it at {part.target}."
        )
    return (
        f"{url} cannot be reached ({_reason(error)}). Connect to the internet and try again, or fetch the file on "
        f"another computer and put it at {part.target}."
    )


def _proxy(url: str) -> str:
    """Host and port of the proxy that an address is reached through, without its password; "" for none."""
    address = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(address.hostname or ""):
        return ""
    return urllib.request.getproxies().get(address.scheme, "").rpartition("@")[2].rpartition("//")[2].rstrip("/")


def _broken(url: str, part: PartialFile, total: int | None, reason: str) -> str:
    return f"The download of {url} broke off after {_amount(part, total)} ({reason}). Try again: it continues there."


def _web_page(url: str, part: PartialFile) -> str:
    return (
        f"{url} answered with a web page instead of the file; the network here may want a login first. Log in with a "
        f"browser and try again, or fetch the file elsewhere and put it at {part.target}."
    )


def part_path(path: Path) -> Path:
    """File that holds the bytes of `path` until they are complete."""
    return path.with_name(f"{path.name}.part")


def tag_path(path: Path) -> Path:
    """File that keeps which version of `path` those bytes belong to."""
    return path.with_name(f"{path.name}.part.tag")


class PartialFile:
    """`<name>.part` beside the wanted file; what an earlier attempt left there is resumed.

    Args:
        path: of the complete file; its folder is created.

    Raises:
        OutputError: the folder or the file cannot be written.
    """

    def __init__(self, path: Path):
        self.target = path
        self.path = part_path(path)
        self._validator = tag_path(path)
        self._hash = hashlib.sha256()
        self.size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self._file = self.path.open("r+b")
            while chunk := self._file.read(_REREAD_CHUNK):
                self._hash.update(chunk)
                self.size += len(chunk)
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self.size == 0:
            self.discard()

    @property
    def sha256(self) -> str:
        """Checksum of the bytes so far."""
        return self._hash.hexdigest()

    @property
    def validator(self) -> str:
        """What the server called this version of the file when the download began (ETag or date), or ""."""
        return self._validator.read_text(encoding="utf-8", errors="replace") if is_file(self._validator) else ""

    def restart(self, validator: str = "") -> None:
        """Drop the bytes so far; the next ones belong to the version `validator`."""
        try:
            self._file.seek(0)
            self._file.truncate()
            self._validator.write_text(validator, encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error
        self._hash, self.size = hashlib.sha256(), 0

    def append(self, chunk: bytes) -> None:
        """Add bytes; on a full disk everything so far is removed.

        Raises:
            OutputError: the disk is full or the file cannot be written.
        """
        try:
            self._file.write(chunk)
            self._file.flush()
        except OSError as error:
            self.discard()
            raise self._unwritable(error) from error
        self._hash.update(chunk)
        self.size += len(chunk)

    def discard(self) -> None:
        """Remove the file and everything noted about it."""
        with contextlib.suppress(OSError):  # closing writes what a full disk refused before
            self._file.close()
        self.path.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def complete(self) -> None:
        """Give the file its final name; another process that fetched the same file may have done so already.

        Raises:
            OutputError: the file cannot be renamed.
        """
        self._file.close()
        try:
            if is_file(self.path) or not is_file(self.target):
                self.path.replace(self.target)
            self._validator.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.path} cannot be written ({error.strerror}). Free space on the disk, "
            "or set VXM_CACHE to a folder that can be written."
        )
