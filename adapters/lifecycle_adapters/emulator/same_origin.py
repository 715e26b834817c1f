"""Refusal of requests from web pages of other origins, because a browser on this machine can reach the emulator.

The check reads three headers that a page cannot choose. `Host` is the name by which the browser found this server: a
foreign name reveals DNS rebinding. `Origin` and `Sec-Fetch-Site` (Fetch, W3C Fetch Metadata) name the page's origin.
Programs other than browsers send only a local `Host`.
"""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_OWN_SITES = frozenset({"same-origin", "none"})  # none: typed by the user


def refusal(scope: Scope) -> Response | None:
    """Return the refusal of a request that a page of another origin may have sent; None if none can have."""
    sent: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        sent.setdefault(name, []).append(value.decode("latin-1"))
    hosts = sent.get(b"host", [])
    if len(hosts) != 1 or _HOSTS.fullmatch(hosts[0]) is None:
        detail = "The emulator accepts the hosts 127.0.0.1, localhost and [::1] only; use one of them in the URL"
        return JSONResponse({"detail": detail}, 421)
    own_origin = f"{scope.get('scheme', 'http')}://{hosts[0]}"
    origins, sites = sent.get(b"origin", []), sent.get(b"sec-fetch-site", [])
    if any(each != own_origin for each in origins) or any(each not in _OWN_SITES for each in sites):
        return JSONResponse({"detail": "The emulator accepts requests of its own web pages only"}, 403)
    return None
