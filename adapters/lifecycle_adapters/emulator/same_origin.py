"""Refuse what web pages of others send: a browser on this machine reaches the emulator as well as we do.

A page cannot choose the three headers that are looked at. `Host` is the name by which the browser found this server, so
that of a page that points its own name here (DNS rebinding); `Origin` and `Sec-Fetch-Site` (Fetch, W3C Fetch Metadata)
say whose page sends. Programs other than browsers send a local `Host` alone.
"""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_OWN_SITES = frozenset({"same-origin", "none"})  # none: typed by the user


def refusal(scope: Scope) -> Response | None:
    """Return the answer to a request that a page of others can have sent; None if none can."""
    sent: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        sent.setdefault(name, []).append(value.decode("latin-1"))
    hosts = sent.get(b"host", [])
    if len(hosts) != 1 or _HOSTS.fullmatch(hosts[0]) is None:
        detail = "The emulator answers to the hosts 127.0.0.1, localhost and [::1] only; use one of them in the URL"
        return JSONResponse({"detail": detail}, 421)
    own_origin = f"{scope.get('scheme', 'http')}://{hosts[0]}"
    origins, sites = sent.get(b"origin", []), sent.get(b"sec-fetch-site", [])
    if any(each != own_origin for each in origins) or any(each not in _OWN_SITES for each in sites):
        return JSONResponse({"detail": "The emulator answers to no web page but its own"}, 403)
    return None
