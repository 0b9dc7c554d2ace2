"""Pictures from https hosts: the address that was checked is the address connected to."""

import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import httpcore

from handler import __version__
from handler.call import Call
from handler.sources.addresses import Address
from handler.sources.allowed import Page
from handler.sources.limits import Budget, Calls, Deadline, collect
from handler.sources.refusals import FetchFailed, Refused, TooManyBytes

_MAX_ADDRESSES: Final = 4
"""Addresses of one host that are tried; each gets its share of the time left."""

_HEADERS: Final[dict[bytes | str, bytes | str]] = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": f"openclip-serverless/{__version__}",
}


class Web:
    """Fetches from admitted hosts: no proxies, cookies, redirects or kept connections."""

    def __init__(
        self,
        seconds: float,
        limit: int,
        calls: Calls,
        resolve: Callable[[str, int], Sequence[Address]],
        allow_address: Callable[[Address], bool],
    ) -> None:
        self._seconds: Final = seconds
        self._limit: Final = limit
        self._calls: Final = calls
        self._resolve: Final = resolve
        self._allow_address: Final = allow_address
        self._context: Final = ssl.create_default_context()
        self._context.set_alpn_protocols(["http/1.1"])

    def read(self, page: Page, budget: Budget, call: Call) -> bytes:
        """Return the file's bytes.

        Raises:
            Unfetched: the host has a private address, the fetch failed, the file is too large.
            DeadlineExceeded: the request took too long.
        """
        deadline = Deadline(f"the host {page.host}", self._seconds, call)
        addresses = self._addresses(page, deadline)
        try:
            return self._get(page, addresses, budget, deadline)
        except httpcore.TimeoutException:
            raise deadline.passed() from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise FetchFailed(deadline.where, _reason(error)) from None

    def _addresses(self, page: Page, deadline: Deadline) -> list[Address]:
        """Resolve the host, once, and check every address: one private one refuses them all."""
        try:
            found = self._calls.within(deadline, lambda: self._resolve(page.host, page.port))
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise FetchFailed(deadline.where, "its name cannot be resolved")
        if not all(map(self._allow_address, found)):
            raise Refused(
                f"is on the host {page.host}, which has a private or reserved address; "
                "no setting allows those"
            )
        return list(dict.fromkeys(found))[:_MAX_ADDRESSES]

    def _get(
        self, page: Page, addresses: list[Address], budget: Budget, deadline: Deadline
    ) -> bytes:
        scheme, host = b"https", page.host.encode()
        url = httpcore.URL(scheme=scheme, host=host, port=page.port, target=page.target.encode())
        with (
            httpcore.HTTPConnection(
                url.origin,
                # httpcore changes the context it is given for every connection; OpenSSL may be
                # copying from it in another thread. Streams of ours use one that stays as it is.
                ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                network_backend=_Addresses(addresses, deadline, self._context),
            ) as connection,
            connection.stream("GET", url, headers=_HEADERS) as response,
        ):
            self._check(response, deadline)
            return collect(response.iter_stream(), self._limit, budget, deadline)

    def _check(self, response: httpcore.Response, deadline: Deadline) -> None:
        if 300 <= response.status < 400:
            reason = f"it answered with status {response.status}; redirects are not followed"
            raise FetchFailed(deadline.where, reason)
        if response.status != 200:
            raise FetchFailed(deadline.where, f"it answered with status {response.status}")
        for name, value in response.headers:
            if name.lower() == b"content-encoding" and value.strip().lower() not in (
                b"",
                b"identity",
            ):
                raise FetchFailed(deadline.where, "its answer is compressed, which was not asked")
            if name.lower() == b"content-length" and int(value) > self._limit:
                raise TooManyBytes(self._limit)


class _Addresses(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever the host is called."""

    def __init__(
        self, addresses: list[Address], deadline: Deadline, context: ssl.SSLContext
    ) -> None:
        self._addresses: Final = addresses
        self._deadline: Final = deadline
        self._context: Final = context
        self._sockets: Final = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name was resolved before
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a stream to the first address that answers."""
        for tried, address in enumerate(self._addresses, 1):
            share = self._deadline.left() / (len(self._addresses) - tried + 1)
            try:
                stream = self._sockets.connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(self._addresses):
                    raise
            else:
                return _Stream(stream, self._deadline, self._context)
        raise httpcore.ConnectError("no address")


class _Stream(httpcore.NetworkStream):
    """A stream each of whose operations has as long as is left to all of them."""

    def __init__(
        self, stream: httpcore.NetworkStream, deadline: Deadline, context: ssl.SSLContext
    ) -> None:
        self._stream: Final = stream
        self._deadline: Final = deadline
        self._context: Final = context

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Read what there is, at most `max_bytes`."""
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all of the buffer."""
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002 - our own
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Shake hands; the certificate must be one of `server_hostname`."""
        stream = self._stream.start_tls(self._context, server_hostname, self._deadline.left())
        return _Stream(stream, self._deadline, self._context)

    def get_extra_info(self, info: str) -> Any:
        """Return what the socket knows about itself."""
        return self._stream.get_extra_info(info)


def _reason(error: Exception) -> str:
    """Say what went wrong without the library's words."""
    match error.__cause__ or error.__context__:
        case ssl.SSLCertVerificationError():
            return "its certificate is not valid for it, or not from a trusted authority"
        case ssl.SSLError():
            return "no TLS connection could be made or kept"
        case ConnectionRefusedError():
            return "the connection was refused"
        case socket.gaierror():
            return "its name cannot be resolved"
    match error:
        case httpcore.ConnectError():
            return "no connection could be made"
        case httpcore.NetworkError():
            return "the connection broke"
    return "its answer broke off or is not valid HTTP"
