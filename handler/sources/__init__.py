"""Pictures that are named, not sent: https URLs and s3://bucket/key. Both are off by default.

Neither an HTTP client nor boto3 is imported before the first such picture.
"""

import importlib.util
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from handler.call import Call
from handler.errors import ServiceError, SetupError
from handler.settings import Settings
from handler.sources.addresses import Address, is_public, look_up
from handler.sources.allowed import Buckets, Hosts
from handler.sources.limits import Budget, Calls
from handler.sources.refusals import Unfetched

if TYPE_CHECKING:
    from handler.sources.bucket import Bucket
    from handler.sources.web import Web

_LARGEST_TOGETHER: Final = 10
"""Pictures of the largest size that one request may have fetched: they are in memory together."""


class Sources:
    """Fetches pictures; one per process, used from any thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Callable[[str, int], Sequence[Address]] = look_up,
        allow_address: Callable[[Address], bool] = is_public,
    ) -> None:
        """Read the allow-lists.

        Raises:
            SetupError: one cannot be read, or the `fetch` extra is not installed.
        """
        self._hosts: Final = Hosts(settings.image_hosts)
        self._buckets: Final = Buckets(settings.image_buckets)
        _need("httpcore", "IMAGE_HOSTS", self._hosts)
        _need("boto3", "IMAGE_BUCKETS", self._buckets)
        self._settings: Final = settings
        self._resolve: Final = resolve
        self._allow_address: Final = allow_address
        self._calls: Final = Calls(settings.fetch_concurrency)
        self._pool: Final = ThreadPoolExecutor(settings.fetch_concurrency, "fetch")
        self._making: Final = threading.Lock()
        self._web: Web | None = None
        self._bucket: Bucket | None = None

    def fetch(
        self, urls: Sequence[tuple[str, str]], call: Call | None = None
    ) -> list[bytes | ServiceError]:
        """Fetch pictures at the same time, each URL once.

        Args:
            urls: (URL, field of the request) pairs.
            call: the request; once nobody waits for it, nothing more is fetched.

        Returns:
            For each pair the file's bytes, or the error that says why there are none.

        Raises:
            DeadlineExceeded: the request took too long.
        """
        call = call or Call()
        budget = Budget(_LARGEST_TOGETHER * self._settings.max_image_bytes)
        started = {
            url: self._pool.submit(self._read, url, budget, call)
            for url in dict.fromkeys(url for url, _ in urls)
        }
        try:
            found = {url: _awaited(future, call) for url, future in started.items()}
        finally:
            for future in started.values():
                future.cancel()
        results: list[bytes | ServiceError] = []
        for url, field in urls:
            result = found[url]
            results.append(result.named(field) if isinstance(result, Unfetched) else result)
        return results

    def close(self) -> None:
        """Start nothing more; fetches under way end by themselves, in FETCH_SECONDS."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, url: str, budget: Budget, call: Call) -> bytes | Unfetched:
        call.check()
        try:
            if url[:5].lower() == "s3://":
                place = self._buckets.admit(url)
                return self._bucket_client().read(place, budget, call)
            page = self._hosts.admit(url)
            return self._web_client().read(page, budget, call)
        except Unfetched as error:
            return error

    def _web_client(self) -> "Web":
        with self._making:
            if self._web is None:
                from handler.sources.web import Web

                self._web = Web(
                    self._settings.fetch_seconds,
                    self._settings.max_image_bytes,
                    self._calls,
                    self._resolve,
                    self._allow_address,
                )
            return self._web

    def _bucket_client(self) -> "Bucket":
        with self._making:
            if self._bucket is None:
                from handler.sources.bucket import Bucket

                self._bucket = Bucket(
                    self._settings.fetch_seconds,
                    self._settings.max_image_bytes,
                    self._calls,
                    self._settings.fetch_concurrency,
                )
            return self._bucket


def _awaited(future: "Future[bytes | Unfetched]", call: Call) -> bytes | Unfetched:
    """Wait for a fetch, which may yet stand in line behind those of other requests."""
    try:
        return future.result(call.left())
    except TimeoutError:
        call.check()
        raise


def _need(module: str, setting: str, wanted: object) -> None:
    if wanted and importlib.util.find_spec(module) is None:
        raise SetupError(
            f"{setting} needs {module}: pip install 'openclip-serverless[fetch]', or unset it"
        )
