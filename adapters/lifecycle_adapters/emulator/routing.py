"""What FastAPI's routing does not provide: encoded slashes, overlapping routes, and a 405 that names all methods.

ASGI decodes a path before it is routed: "/tasks/a%2Fb" becomes "/tasks/a/b", which no route of "/tasks/{id}" matches.
So a path is matched here with a stand-in for each encoded slash, which becomes a slash again in the matched texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any
from urllib.parse import unquote

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

_ENCODED_SLASH = "\ud82f"  # half of a surrogate pair, which is in no decoded path


def routed_path(scope: Scope) -> str:
    """Return the decoded path of a request, with a stand-in for each slash that was percent-encoded."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or b""
    if b"%2" not in raw:
        return path
    sent = raw.decode("latin-1")
    routed = unquote(sent.replace("%2F", _ENCODED_SLASH).replace("%2f", _ENCODED_SLASH))
    return routed if segment(routed) == path else path  # a middleware has rewritten the path


def own_path(scope: Scope) -> str:
    """Return the routed path of a request within the application, without the path at which that is mounted."""
    path, mounted_at = routed_path(scope), scope.get("root_path", "")
    return path[len(mounted_at) :] if path.startswith(f"{mounted_at}/") else path


def segment(text: str) -> str:
    """Return a part of a routed path with slashes instead of their stand-ins."""
    return text.replace(_ENCODED_SLASH, "/")


class SlashRoute(APIRoute):
    """A route whose parameters may contain encoded slashes."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a request by its routed path."""
        match, child = super().matches({**scope, "path": routed_path(scope)})
        if match is not Match.NONE:
            given: dict[str, Any] = child["path_params"]
            child["path_params"] = {
                name: segment(each) if isinstance(each, str) else each for name, each in given.items()
            }
        return match, child


def narrow_first(routes: Iterable[APIRoute]) -> list[APIRoute]:
    """Return the routes in the order in which to match them: routes whose ids have slashes match most, and are last."""
    return sorted(routes, key=lambda route: -len(route.path) if ":path}" in route.path else -inf)


async def not_allowed(request: Request, _: Exception) -> Response:
    """Return 405 with all methods of the path; FastAPI would name those of one route, but several share a path.

    Of routes whose ids have slashes the longest counts: "/tasks/7/events" is not the task "7/events".
    """
    path = own_path(request.scope)
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    narrow = [route for route in routes if ":path}" not in route.path]
    longest = max((len(route.path) for route in routes), default=0)
    named = narrow or [route for route in routes if len(route.path) == longest]
    methods = sorted({method for route in named for method in route.methods or ()})
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(methods)})
