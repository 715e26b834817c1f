"""What the tests of all adapters share: the certificates of the world, which each process reads once."""

from __future__ import annotations

import os
import ssl
from functools import cache

import httpcore2

# To read them takes longer than most tests, and httpx2 would do so for each client.
_read = httpcore2.default_ssl_context


@cache
def _context(*, trust_env: bool, file: str | None, folder: str | None) -> ssl.SSLContext:
    return _read(_trust_env=trust_env)


def _shared_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    return _context(trust_env=_trust_env, file=os.environ.get("SSL_CERT_FILE"), folder=os.environ.get("SSL_CERT_DIR"))


setattr(httpcore2, "default_ssl_context", _shared_context)  # noqa: B010
