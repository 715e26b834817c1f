"""A report as an HTML page of its own: one file that needs no network, no script and no other file.

contents.py is what it says, traffic.py its diagram, markup.py how HTML is written and kept harmless, page.css how
it looks.
"""

from __future__ import annotations

from lifecycle_adapters.logs.page.contents import page, write_page

__all__ = ["page", "write_page"]
