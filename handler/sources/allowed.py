"""IMAGE_HOSTS and IMAGE_BUCKETS: what they let through, decided on the text alone."""

import re
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from handler.errors import SetupError
from handler.sources.refusals import Refused

_HTTPS_PORT: Final = 443
_MAX_URL: Final = 8_192

# Strings: compiled at their first use, so that a service without pictures by URL pays nothing.
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"
_ENTRY: Final = r"(?P<any>\*\.)?(?P<host>[^*:]+)(?::(?P<port>[0-9]{1,5}))?"
_URL: Final = r"(?i:https)://(?P<site>[^/?#]*)(?P<target>[^#]*)(?:#.*)?"
_SITE: Final = r"(?P<host>[^:]*)(?::(?P<port>[0-9]{1,5}))?"
_NUMBER: Final = r"[0-9]+|0x[0-9a-f]*"
_VISIBLE: Final = r"[!-~]*"
_BUCKET: Final = r"[A-Za-z0-9._-]{3,255}"
_NOT_IN_KEYS: Final = r"[\x00-\x1f\x7f\ud800-\udfff]"
"""Control characters, which headers end at, and halves of characters, which have no UTF-8."""


class Page(NamedTuple):
    """A picture on the web: host in lower case, path and query as they go over the wire."""

    host: str
    port: int
    target: str


class Place(NamedTuple):
    """A picture in a bucket; the key is as S3 knows it, not encoded."""

    bucket: str
    key: str


class Hosts:
    """IMAGE_HOSTS: `host`, `*.host` (any subdomain, not `host` itself), each with `:port`.

    Without a port it is 443, and no other.
    """

    def __init__(self, setting: str) -> None:
        """Read the setting.

        Raises:
            SetupError: an entry is not a host.
        """
        self._exact: Final = set[tuple[str, int]]()
        self._under: Final = set[tuple[str, int]]()
        for entry in filter(None, (part.strip().lower() for part in setting.split(","))):
            match = re.fullmatch(_ENTRY, entry)
            port = int(match["port"] or _HTTPS_PORT) if match else 0
            if not match or not _is_host(match["host"]) or not 0 < port < 65_536:
                raise SetupError(
                    f"IMAGE_HOSTS: {entry!r} is not a host (a.example, *.a.example, a.example:8443;"
                    " names with other letters in their xn-- form)"
                )
            if match["any"] and _is_number(match["host"]):
                raise SetupError(f"IMAGE_HOSTS: {entry!r}: an IP address has no subdomains")
            (self._under if match["any"] else self._exact).add((match["host"], port))

    def __bool__(self) -> bool:
        return bool(self._exact or self._under)

    def admit(self, url: str) -> Page:
        """Take an https URL apart, if its host is in the list.

        Raises:
            Refused: it is not, or the URL is one that programs read in different ways.
        """
        if url[:7].lower() == "http://":
            raise Refused("is an http:// URL; only https:// is fetched, from hosts in IMAGE_HOSTS")
        if not self:
            raise Refused("is a URL, and none is fetched here: IMAGE_HOSTS is empty")
        if len(url) > _MAX_URL:
            raise Refused(f"is a URL of more than {_MAX_URL} characters")
        if not re.fullmatch(_VISIBLE, url) or "\\" in url:
            raise Refused(
                "is a URL with spaces, backslashes or letters outside ASCII; write its host in "
                "the xn-- form and the rest percent-encoded"
            )
        match = re.fullmatch(_URL, url)
        if not match:
            raise Refused("is not an https:// URL")
        if "@" in match["site"]:
            raise Refused("is a URL with a user name or password, which are not sent")
        site = re.fullmatch(_SITE, match["site"].lower())
        host = site["host"].removesuffix(".") if site else ""
        port = int((site and site["port"]) or _HTTPS_PORT)
        if not _is_host(host) or not 0 < port < 65_536:
            raise Refused("is a URL whose host or port is not one; IMAGE_HOSTS lists what is")
        if not self._lists(host, port):
            at = "" if port == _HTTPS_PORT else f" with port {port}"
            raise Refused(f"is on the host {host}{at}, which is not in IMAGE_HOSTS")
        target = match["target"]
        return Page(host, port, target if target.startswith("/") else f"/{target}")

    def _lists(self, host: str, port: int) -> bool:
        if (host, port) in self._exact:
            return True
        labels = host.split(".")
        return any((".".join(labels[n:]), port) in self._under for n in range(1, len(labels)))


class Buckets:
    """IMAGE_BUCKETS: `bucket`, or `bucket/prefix` for the keys that start with `prefix/`.

    A prefix is whole path segments: `shop/red` lets `red/1.png` through, not `redder/1.png` and
    not `red`. `shop/red/` says the same.
    """

    def __init__(self, setting: str) -> None:
        """Read the setting.

        Raises:
            SetupError: an entry does not start with a bucket's name.
        """
        self._prefixes: Final = dict[str, list[str]]()
        for entry in filter(None, (part.strip() for part in setting.split(","))):
            bucket, _, prefix = entry.partition("/")
            if not re.fullmatch(_BUCKET, bucket):
                raise SetupError(
                    f"IMAGE_BUCKETS: {entry!r} is neither bucket nor bucket/prefix (no s3://)"
                )
            prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
            self._prefixes.setdefault(bucket, []).append(prefix)

    def __bool__(self) -> bool:
        return bool(self._prefixes)

    def admit(self, url: str) -> Place:
        """Take an s3 URL apart, if it is in the list; the key is all after the bucket, as written.

        Raises:
            Refused: they are not in the list, or the key has `.` or `..` for a segment, which
                libraries and proxies on the way may take for a step up.
        """
        if not self:
            raise Refused("is an s3:// URL, and none is read here: IMAGE_BUCKETS is empty")
        bucket, _, key = url[len("s3://") :].partition("/")
        if not re.fullmatch(_BUCKET, bucket) or not key or re.search(_NOT_IN_KEYS, key):
            raise Refused("is not an s3://bucket/key URL")
        if not {".", ".."}.isdisjoint(key.split("/")):
            raise Refused("is an s3:// URL whose key has a segment . or .., which is not read here")
        if bucket not in self._prefixes:
            raise Refused(f"is in the bucket {bucket}, which is not in IMAGE_BUCKETS")
        if not key.startswith(tuple(self._prefixes[bucket])):
            raise Refused(f"is in the bucket {bucket} under a prefix which is not in IMAGE_BUCKETS")
        return Place(bucket, key)


def _is_number(host: str) -> bool:
    """Say whether some programs read the host as an IPv4 address: its last label is a number."""
    return re.fullmatch(_NUMBER, host.rpartition(".")[2]) is not None


def _is_host(host: str) -> bool:
    if not re.fullmatch(_HOST, host):
        return False
    if not _is_number(host):
        return True
    try:  # 0177.0.0.1, 2130706433 and 127.1 are loopback to some, and not an address here
        IPv4Address(host)
    except ValueError:
        return False
    return True
