"""The one thing that FastAPI's routing leaves out: a 405 that names every method of its path."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def not_allowed(request: Request, _: Exception) -> Response:
    """Answer a wrong method. FastAPI would name the methods of one route; several share a path here."""
    path = request.scope["path"].removeprefix(request.scope["root_path"])  # the latter where this is mounted
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    methods = sorted({method for route in routes for method in route.methods or ()})
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(methods)})
