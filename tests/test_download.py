"""Downloads either arrive whole or leave nothing behind."""

import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import Server, serving

from cnnaudit import download
from cnnaudit.errors import DownloadError, WeightsError

BODY = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(BODY).hexdigest()
CHECKSUM = f"sha256:{DIGEST[:8]}"
NAME = f"net-{DIGEST[:8]}.pth"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as running:
        running.files[NAME] = BODY
        yield running


def test_a_file_arrives_whole_under_its_own_name(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download.fetch(
        f"{server.url}/{NAME}", tmp_path / "hub", checksum=CHECKSUM, progress=lambda *at: seen.append(at)
    )
    assert path == tmp_path / "hub" / NAME
    assert path.read_bytes() == BODY
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_that_is_here_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        download.fetch(f"{server.url}/{NAME}", tmp_path, checksum=CHECKSUM)
    assert len(server.asked) == 1


def test_a_server_need_not_say_how_long_the_file_is(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download.fetch(f"{server.url}/unsized/{NAME}", tmp_path, progress=lambda *at: seen.append(at))
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), None)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"/short/{NAME}", f"ended after {len(BODY) // 2} of {len(BODY)} bytes"),
        (f"/stalled/{NAME}", "timed out"),
        (f"/silent/{NAME}", "no answer within 0.3 s|timed out"),  # both limits strike at once
        ("/absent.pth", "HTTP 404"),
    ],
)
def test_a_failure_says_why_and_leaves_nothing_behind(server: Server, tmp_path: Path, path: str, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(DownloadError, match=reason) as caught:
        download.fetch(server.url + path, tmp_path, instead="Give --weights FILE.", timeout=0.3, stall=0.3)
    server.released.set()
    assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []
    assert "127.0.0.1" in str(caught.value)
    assert str(caught.value).endswith("Give --weights FILE.")


@pytest.mark.parametrize(("checksum", "name"), [("sha256:00000000", "SHA-256"), (f"md5:{'0' * 32}", "MD5")])
def test_a_wrong_checksum_is_refused(server: Server, tmp_path: Path, checksum: str, name: str) -> None:
    with pytest.raises(DownloadError, match=f"{name} begins with"):
        download.fetch(f"{server.url}/{NAME}", tmp_path, checksum=checksum)
    assert list(tmp_path.iterdir()) == []


def test_an_md5_is_a_checksum_too(server: Server, tmp_path: Path) -> None:
    checksum = f"md5:{hashlib.md5(BODY).hexdigest()}"
    for _ in range(2):
        assert download.fetch(f"{server.url}/{NAME}", tmp_path, checksum=checksum).read_bytes() == BODY


def test_no_server_is_a_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/{NAME}"
        with pytest.raises(DownloadError, match="refused"):
            download.fetch(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_name_resolution_is_within_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_arguments: object, **_keywords: object) -> list[object]:
        time.sleep(1.5)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"no answer within 0.2 s"):
        download.fetch("http://weights.invalid/net.pth", tmp_path, timeout=0.2)
    assert time.monotonic() - began < 1


def test_a_folder_that_cannot_be_written_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file, not a folder")
    with pytest.raises(DownloadError):
        download.fetch(f"{server.url}/{NAME}", tmp_path / "hub")


def test_a_damaged_file_in_the_cache_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(BODY[:-1])
    with pytest.raises(WeightsError, match="Delete it"):
        download.fetch(f"{server.url}/{NAME}", tmp_path, checksum=CHECKSUM)


def test_progress_that_raises_stops_the_download(server: Server, tmp_path: Path) -> None:
    def stop(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch(f"{server.url}/{NAME}", tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("resnet50-11ad3fa6.pth", "11ad3fa6"),
        ("mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
        ("vgg16_features-amdegroot-88682ab5.pth", "88682ab5"),
        ("model-best.pth", None),
        ("model.pth", None),
    ],
)
def test_the_checksum_in_a_name(name: str, prefix: str | None) -> None:
    assert download.promised_checksum(name) == (prefix and f"sha256:{prefix}")


def test_reach_returns_when_a_server_answers_at_all(server: Server) -> None:
    download.reach(f"{server.url}/absent")
    with pytest.raises(DownloadError, match="cannot be reached"):
        download.reach(f"{server.url}/silent/x", timeout=0.2)
