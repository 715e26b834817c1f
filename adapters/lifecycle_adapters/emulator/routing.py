"""A 405 response that names every method of its path, which FastAPI's routing does not provide."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def not_allowed(request: Request, _: Exception) -> Response:
    """Return 405 with all methods of the path; FastAPI would name those of one route, but several share a path."""
    path = request.scope["path"].removeprefix(request.scope["root_path"])  # root_path is set in a mounted application
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    methods = sorted({method for route in routes for method in route.methods or ()})
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(methods)})
