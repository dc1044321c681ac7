"""An address and a hash in, a checked file on disk out, continued where an earlier try broke off."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._tools.files import locked_folder
from .._tools.public import public
from ..errors import SpmError

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16


@public("spm.datasets")
def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Tell where data sets lie: `data_home`, else the environment variable SPM_DATA, else the user's cache folder.

    Examples
    --------
    >>> get_data_home("/data/sets").as_posix()
    '/data/sets'
    """
    chosen = data_home or os.environ.get("SPM_DATA")
    if not chosen:
        import pooch

        chosen = pooch.os_cache("spm")
    return Path(chosen).expanduser()


class ResumableDownloader:
    """A downloader that continues a broken download by HTTP ranges.

    What has arrived stays in a ``.part`` file, so a later call, in another process too, goes on from there. A
    connection that drops after data came is taken up again; one that never opens is an error at once. Progress shows
    on standard error after two seconds.

    Parameters
    ----------
    part : path
        The file for what has arrived so far.
    retries : int, default=5
        How often in a row to take up a dropped connection that brought nothing new.
    wait : float, default=1.0
        Seconds before the first of these; doubled each time.
    timeout : float, default=30.0
        Seconds without an answer after which a connection counts as dropped.
    """

    def __init__(
        self, part: str | os.PathLike[str], *, retries: int = 5, wait: float = 1.0, timeout: float = 30.0
    ) -> None:
        self.part = Path(part)
        self.retries = retries
        self.wait = wait
        self.timeout = timeout

    def __call__(self, url: str) -> None:
        """Download what of `url` is missing in the part.

        Raises
        ------
        requests.RequestException
            When the address cannot be reached, answers with an error, or keeps dropping the connection.
        """
        import requests
        from tqdm import tqdm

        failures, arrived = 0, self._size()
        with tqdm(desc=self.part.stem, unit="B", unit_scale=True, unit_divisor=1024, delay=2) as progress:
            while True:
                try:
                    self._receive(url, progress)
                    break
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                    failures = 1 if self._size() > arrived else failures + 1
                    arrived = max(arrived, self._size())
                    if progress.total is None or failures > self.retries:
                        raise
                    time.sleep(self.wait * 2 ** (failures - 1))

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _receive(self, url: str, progress: Any) -> None:
        """Make one request and append what it brings; sets the total of `progress` once the server has answered."""
        import requests

        start = self._size()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            if start and not _continues(response, start):
                if response.status_code == 416 and _total(response) == start:
                    return  # nothing is missing
                if response.status_code in (206, 416):  # not the file that the part is of
                    self.part.unlink()
                    return self._receive(url, progress)
                start = 0
            response.raise_for_status()
            total = start + int(response.headers.get("Content-Length", 0))
            progress.total, progress.n = total, start
            with open(self.part, "ab" if start else "wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    progress.update(len(chunk))
        if self._size() < total:
            raise requests.ConnectionError(f"{self._size()} of {total} bytes came")


def _continues(response: requests.Response, start: int) -> bool:
    span = response.headers.get("Content-Range", "")
    return response.status_code == 206 and span.startswith(f"bytes {start}-")


def _total(response: requests.Response) -> int | None:
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def has_archive(archive: dict[str, Any], data_home: Path) -> bool:
    """Whether an archive of the registry lies in `data_home`, whole."""
    path = data_home / archive["name"]
    return path.is_file() and _has_hash(path, archive["hash"])


def _has_hash(path: Path, told: str) -> bool:
    from pooch import file_hash

    algorithm, _, wanted = told.partition(":")
    return bool(file_hash(os.fspath(path), alg=algorithm) == wanted)


def retrieve(archive: dict[str, Any], data_home: Path) -> Path:
    """Bring an archive of the registry into `data_home`, trying its addresses in turn, and check its hash.

    Of several processes that ask for one archive at once the first brings it, and the others wait and find it there.

    Parameters
    ----------
    archive : dict
        ``name``: the file's name; ``urls``: list of str; ``hash``: ``"md5:..."`` or ``"sha256:..."``.
    data_home : Path

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SpmError
        When no address brings the file: what came of each, and how to go on without a network. And when it cannot be
        written: what has come of it is kept, where it can be.
    """
    try:
        data_home.mkdir(parents=True, exist_ok=True)
        with locked_folder(data_home, archive["name"]):
            return _retrieve(archive, data_home)
    except OSError as error:
        raise SpmError(
            f"{archive['name']} cannot be written to {data_home} ({error.strerror}): set SPM_DATA or pass data_home; "
            "what has come is kept, and the next call goes on from there"
        ) from error


def _retrieve(archive: dict[str, Any], data_home: Path) -> Path:
    import requests

    path, reasons = data_home / archive["name"], []
    if has_archive(archive, data_home):
        return path
    for url in archive["urls"]:
        part = path.with_name(path.name + ".part")
        try:
            ResumableDownloader(part)(url)
        except requests.RequestException as error:
            reasons.append(f"  {url}\n    {_reason(error)}")
            continue
        if _has_hash(part, archive["hash"]):
            os.replace(part, path)
            return path
        part.unlink()
        reasons.append(f"  {url}\n    what came has another hash and was removed")
    raise SpmError(f"{path.name} could not be downloaded:\n" + "\n".join(reasons) + f"\n{by_hand(archive, data_home)}")


def by_hand(archive: dict[str, Any], data_home: Path) -> str:
    """Say how to bring an archive to `data_home` without a network."""
    path = data_home / archive["name"]
    wrong = " What lies there has another hash." if path.exists() else ""
    return (
        f"By hand: get {archive['name']} ({archive['hash']}) from {archive['urls'][0]} and put it at {path}.{wrong} "
        "Another folder: pass data_home, or set the environment variable SPM_DATA."
    )


def _reason(error: requests.RequestException) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answers with HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "does not answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "cannot be reached, or drops the connection"
    return f"{type(error).__name__}: {error}"
