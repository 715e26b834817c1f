"""A report as one HTML file that needs no network, no script and no other file.

contents.py has its sections, traffic.py its diagram, markup.py the HTML and its escaping, page.css the style.
"""

from __future__ import annotations

from lifecycle_adapters.logs.page.contents import page, write_page

__all__ = ["page", "write_page"]
