"""The proxies of the environment: the variables that name them, and what a message says of one."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

PROXY_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def host_of_proxy(url: str) -> str | None:
    """Return the host in the URL of a proxy, whose scheme may be missing; None if there is none.

    Raises ValueError if it is not a URL.
    """
    return urlsplit(url if "://" in url else f"http://{url}").hostname


def proxy_text(host: str, port: int, *, scheme: str, is_of_environment: bool, is_given: bool) -> str:
    """Return the description of a proxy, which has no user and no password.

    Args:
        host, port: the proxy.
        scheme: the scheme of the requests, "http" or "https".
        is_of_environment: whether the environment may name it.
        is_given: whether the httpx2 client that uses it is the caller's.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    variable = _variable_with(host, scheme) if is_of_environment else None
    source = "the given httpx2 client" if is_given else "the environment"
    return f"the proxy {address} of {source if variable is None else variable}"


def _variable_with(host: str, scheme: str) -> str | None:
    """Return the variable that names a proxy on this host for this scheme; of several, the one that httpx2 follows."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            try:
                if host_of_proxy(os.environ.get(variable, "")) == host:
                    return variable
            except ValueError:
                continue
    return None
