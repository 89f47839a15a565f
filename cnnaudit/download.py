"""Fetching a file once: a checksum, a limit on waiting, and nothing left behind on failure."""

import hashlib
import queue
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from cnnaudit.errors import DownloadError, WeightsError
from cnnaudit.files import replacing

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes there will be (None where the server does not say)."""

_CHUNK = 1 << 18
_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


def file_name(url: str) -> str:
    """The last part of the URL's path: torchvision's name for the file in its cache."""
    return Path(urlsplit(url).path).name


def promised_checksum(name: str) -> str | None:
    """The checksum that a name like `resnet50-11ad3fa6.pth` promises (`"sha256:11ad3fa6"`), if it does."""
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    return f"sha256:{found.group(1)}" if found else None


def fetch(
    url: str,
    folder: Path,
    *,
    checksum: str | None = None,
    instead: str = "",
    progress: Progress | None = None,
    timeout: float = 5.0,
    stall: float = 30.0,
) -> Path:
    """The file behind a URL, from `folder` when it is there, else downloaded into it.

    Args:
        checksum: `"sha256:"` or `"md5:"` and the hexadecimal digits that the file's begins with.
        instead: what to do when it cannot be had, for the error's last sentence.
        timeout: seconds until the server must have answered, name resolution included.
        stall: seconds without a byte after which the server is given up.

    Raises:
        DownloadError: no connection, an HTTP error, a stalled or short answer, a wrong checksum, or
            no room to write; `folder` is then as it was before.
        WeightsError: the file is in `folder` already but has another checksum.
    """
    path = folder / file_name(url)
    if path.is_file():
        return verified(path, checksum)
    try:
        with _opened(url, timeout, stall) as response, replacing(path) as part:
            _receive(response, part, checksum, progress)
    except (OSError, HTTPException, ValueError) as error:
        host, reason = urlsplit(url).netloc or url, _reason(error)
        raise DownloadError(f"{path.name} could not be fetched from {host} ({reason}). {instead}".rstrip()) from error
    return path


def verified(path: Path, checksum: str | None) -> Path:
    """`path`, once its content is known to be what the checksum says.

    Raises:
        WeightsError: it is something else.
    """
    if checksum:
        algorithm, digits = _parts(checksum)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, algorithm).hexdigest()
        if not digest.startswith(digits):
            raise WeightsError(
                f"{path} is damaged: its {_NAMES[algorithm]} begins with {digest[: len(digits)]}, not with "
                f"{digits}. Delete it, and it is downloaded again."
            )
    return path


def reach(url: str, *, instead: str = "", timeout: float = 5.0) -> None:
    """Return once a server answers, with whatever status; else the error ends with `instead`.

    Raises:
        DownloadError: none does within `timeout` seconds.
    """
    try:
        _opened(url, timeout, timeout).close()
    except urllib.error.HTTPError:
        return
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(
            f"{urlsplit(url).netloc} cannot be reached ({_reason(error)}). {instead}".rstrip()
        ) from error


def _opened(url: str, timeout: float, stall: float) -> HTTPResponse:
    """The response once its headers are here.

    In a thread of its own: no socket timeout covers name resolution, nor the sum over all addresses.
    """
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()
    given_up = threading.Event()

    def connect() -> None:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "cnnaudit"})
            response = urllib.request.urlopen(request, timeout=stall)
        except Exception as error:  # carried over to the caller's thread, and raised there
            answers.put(error)
            return
        answers.put(response)
        if given_up.is_set():
            response.close()

    threading.Thread(target=connect, daemon=True, name="cnnaudit-download").start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        given_up.set()
        raise TimeoutError(f"no answer within {timeout:g} s") from None
    if isinstance(answer, Exception):
        if isinstance(answer, urllib.error.HTTPError):
            answer.close()
        raise answer
    return answer


def _receive(response: HTTPResponse, part: Path, checksum: str | None, progress: Progress | None) -> None:
    length = response.headers.get("Content-Length")
    total = int(length) if length is not None else None
    algorithm, digits = _parts(checksum or "sha256:")
    digest, done = hashlib.new(algorithm, usedforsecurity=False), 0
    report = progress or (lambda _done, _total: None)
    report(0, total)
    with part.open("wb") as file:
        while chunk := response.read1(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            report(done, total)
    if total is not None and done != total:
        raise HTTPException(f"it ended after {done} of {total} bytes")
    if not digest.hexdigest().startswith(digits):
        raise HTTPException(f"its {_NAMES[algorithm]} begins with {digest.hexdigest()[:8]}, not with {digits}")


def _parts(checksum: str) -> tuple[str, str]:
    """The algorithm and the digits of `"md5:8d4fb7e6"`."""
    algorithm, _, digits = checksum.partition(":")
    return algorithm, digits


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(inner) or type(inner).__name__
