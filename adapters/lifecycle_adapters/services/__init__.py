"""The services that clients know by name: the built-in ones, v1.py to v4.py, and those that users register.

Each of v1.py to v4.py holds the bindings of one API version of Browser Use Cloud, tables only. Its profile, in
v1_emulation.py to v4_emulation.py, is the behaviour that the emulator adds to the binding. assumptions.py lists the
behaviour that no document describes.
"""

from lifecycle_adapters.services.mcp_tools import argument_headers
from lifecycle_adapters.services.registry import register, service, service_of, services

__all__ = ["argument_headers", "register", "service", "service_of", "services"]
