"""How Sphinx builds the documentation site: `make docs`, or `sphinx-build docs docs/_build`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

_HERE = Path(__file__).parent
_PROJECT = tomllib.loads((_HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

sys.path.insert(0, str(_HERE / "_extensions"))

project = _PROJECT["name"]
version = release = _PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
exclude_patterns = ["_build", "_extensions", "README.md"]  # the folder's own page, where it is read without this site
nitpicky = False  # the types of the standard library and of dependencies are on other sites

smartquotes_action = "D"  # dashes alone: quotation marks are often code here

# --- Markdown -------------------------------------------------------------------------------------

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

# --- docstrings -----------------------------------------------------------------------------------

autodoc_mock_imports = ["pyspark", "py4j"]  # ten times as large as all other dependencies together
autodoc_type_aliases = {"Steps": "Steps"}  # the type of a procedure, by its name
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Raises at once", "params_style"), ("Raises when driven", "params_style")]
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

# --- HTML -----------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_search_summary = False  # for each result a browser would fetch its page, which it may not do without a server
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
