"""What FastAPI's routing does not provide: the order of overlapping routes, and a 405 that names all methods."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def narrow_first(routes: Iterable[APIRoute]) -> list[APIRoute]:
    """Return routes in the order in which to match them: those whose ids have slashes, which match most, last."""
    return sorted(routes, key=lambda route: -len(route.path) if ":path}" in route.path else -inf)


async def not_allowed(request: Request, _: Exception) -> Response:
    """Return 405 with all methods of the path; FastAPI would name those of one route, but several share a path.

    Of routes whose ids have slashes the longest counts: "/tasks/7/events" is not the task "7/events".
    """
    path = request.scope["path"].removeprefix(request.scope["root_path"])  # root_path is set in a mounted application
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    narrow = [route for route in routes if ":path}" not in route.path]
    longest = max((len(route.path) for route in routes), default=0)
    named = narrow or [route for route in routes if len(route.path) == longest]
    methods = sorted({method for route in named for method in route.methods or ()})
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(methods)})
