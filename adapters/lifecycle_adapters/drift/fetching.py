"""One GET of a document from a URL, which cannot be redirected to a private address and always ends."""

from __future__ import annotations

import ipaddress
from typing import Any

from lifecycle.errors import MissingExtra
from lifecycle_adapters.drift.drift_errors import UnusableDocument
from lifecycle_adapters.foreign_text import one_line
from lifecycle_adapters.http.limits import Body, Until, keep_deadlines
from lifecycle_adapters.http.transport_failures import ResponseTooLarge, is_transport_failure

try:
    import httpx2
except ImportError:
    raise MissingExtra("drift", needed_by="reading a document from a URL") from None

_SPECIAL_ADDRESSES = ipaddress.IPv4Network("192.0.0.0/24")
_ACCEPT = "application/json, application/yaml, text/yaml, */*;q=0.1"


class _PublicBackend:
    """An httpcore2 `NetworkBackend` that connects to public addresses only, and gets addresses instead of names.

    It checks the address that it connects to, so that a name cannot resolve to another address a moment later.
    """

    def __init__(self, below: Any) -> None:
        self._below = below

    def connect_tcp(self, host: str, *arguments: Any) -> Any:
        if not is_public(host):
            what = f"{host} is an address of this machine or a private network, which must be allowed"
            raise UnusableDocument(f"{what}: `allow_private=True`, or --allow-private on the command line")
        return self._below.connect_tcp(host, *arguments)


def is_public(address: str) -> bool:
    """Return whether an IP address, also one within an IPv6 address, is reachable from everywhere."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = (found.ipv4_mapped or found.sixtofour) if isinstance(found, ipaddress.IPv6Address) else None
    addresses = [each for each in (found, inner) if each is not None]
    # Python before 3.11.10 takes most of these for public; some clouds serve secrets there.
    assigned = any(isinstance(each, ipaddress.IPv4Address) and each in _SPECIAL_ADDRESSES for each in addresses)
    return not assigned and all(each.is_global and not each.is_multicast for each in addresses)


def fetched(url: str, *, allow_private: bool, timeout_s: float, limit_bytes: int) -> tuple[str, bytes]:
    """Fetch a URL. Proxies of the environment are not used, and redirects are not followed.

    Args:
        url: begins with http:// or https://.
        allow_private: whether the address may be one of this machine or of a private network.
        timeout_s: seconds for the whole fetch.
        limit_bytes: the most bytes to read.
    Returns:
        The URL without its query, for messages, and the body.
    Raises:
        UnusableDocument: there is no response of status 200 within the limits, or it is HTML.
    """
    try:
        target = httpx2.URL(url)
    except httpx2.InvalidURL:  # its message may contain a part of a password
        raise UnusableDocument("the URL of the document is malformed") from None
    shown = str(target.copy_with(query=None, fragment=None, username=None, password=None))
    if not target.host or not 0 < (443 if target.port is None else target.port) < 65536:
        raise UnusableDocument(f"{shown}: the URL must name a host, and a port of at most 65535 if any")
    if target.userinfo:
        raise UnusableDocument(f"{shown}: give a URL without user and password, or fetch the document into a file")
    until = Until(timeout_s)
    try:
        with httpx2.Client(trust_env=False, follow_redirects=False) as http:
            if not allow_private:
                _public_only(http)
            keep_deadlines(http)
            with http.stream("GET", target, headers={"Accept": _ACCEPT}, timeout=until) as response:
                _require_document(response)
                return shown, Body(until, limit_bytes).read(response)
    except UnusableDocument as error:
        raise UnusableDocument(f"{shown}: {error}") from None
    except httpx2.TimeoutException:
        raise UnusableDocument(f"{shown}: the response did not end within {timeout_s:g} seconds") from None
    except ResponseTooLarge as error:
        raise UnusableDocument(f"{shown}: {error}") from None
    except Exception as error:
        if not is_transport_failure(error):
            raise
        raise UnusableDocument(f"{shown}: no response: {one_line(str(error)) or type(error).__name__}") from None


def _public_only(http: httpx2.Client) -> None:
    """Make a client connect to public addresses only. `keep_deadlines` then resolves names to addresses for it."""
    transport: Any = getattr(http, "_transport")  # noqa: B009 (as `keep_deadlines`)
    pool = transport._pool
    pool._network_backend = _PublicBackend(pool._network_backend)


def _require_document(response: httpx2.Response) -> None:
    if response.is_redirect:
        where = one_line(response.headers.get("location", ""))
        raise UnusableDocument(f"the response redirects to {where}; give that URL, if it is meant")
    if response.status_code != 200:
        raise UnusableDocument(f"the response has status {response.status_code}")
    if "html" in response.headers.get("content-type", ""):
        raise UnusableDocument("the response is HTML; is this the address of a page about the document?")
