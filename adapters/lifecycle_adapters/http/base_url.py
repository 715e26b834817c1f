"""The check of the URL of a server."""

from __future__ import annotations

from urllib.parse import urlsplit

from lifecycle_adapters.argument_checks import WrongValue, require
from lifecycle_adapters.http.requests import is_changed_when_sent


def server(base_url: str, base_path: str, *, name: str = "base_url") -> str:
    """Return the URL of a server, without the path of the API; errors call the URL by `name`.

    Raises:
        TypeError: it is not text.
        ValueError: it is not such a URL; the message does not repeat it, because it may hold a key or a password.
    """
    require(base_url, str, f"{name} must be text such as 'https://host'")
    has_user = f"{name} must hold no user and no password: it is shown in messages"
    fault = f"{name} must be like 'https://host'"
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        what = has_user if "@" in base_url else f"{fault}: its host or port is malformed"
        raise WrongValue(what, name) from None
    is_server = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if parts.username is not None or (not is_server and "@" in base_url):
        raise WrongValue(has_user, name)
    if parts.scheme not in ("http", "https"):
        raise WrongValue(f"{fault}: it does not begin with 'http://' or 'https://'", name)
    if not is_server:
        raise WrongValue(f"{fault}: {'its port is 0' if port == 0 else 'it has no host'}", name)
    # `urlsplit` removes line breaks and tabs, and an empty query or fragment.
    if not base_url.isprintable() or not {" ", "?", "#"}.isdisjoint(base_url):
        what = f"{fault}: it has a query, a fragment, a space or a character that is not printable"
        raise WrongValue(what, name)
    if is_changed_when_sent(parts.path.rstrip("/")):
        raise WrongValue(f"{name} must have no '//', '/./' or '/../' in its path", name)
    # The same for each way to write it: a journal and a retirement compare it. Other clients want the path in the base
    # URL; both forms must lead to the same calls.
    host = parts.netloc.lower().removesuffix(":")
    if port is not None:
        host = host.rpartition(":")[0] + ("" if port == _DEFAULT_PORTS[parts.scheme] else f":{port}")
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}".removesuffix(base_path)


_DEFAULT_PORTS = {"http": 80, "https": 443}
