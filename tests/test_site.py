"""The documentation site: it builds without a warning, is whole, needs no network, and is readable in every mode."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from lifecycle.diagram import Colour
from lifecycle_adapters.render import DARK
from tests.support.packages import MODULES, ROOT

if TYPE_CHECKING:
    from tests.support.browser import Chromium

pytestmark = pytest.mark.heavy

PUBLIC = [name for name, path in MODULES.items() if "\n__all__" in path.read_text(encoding="utf-8")]
# These export names for the project's own modules.
FOR_OURSELVES = {"lifecycle_adapters.cli", "lifecycle_adapters.logs.text"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    built = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    folders = ["--doctree-dir", str(built / "doctrees"), "docs", str(built / "html")]
    done = subprocess.run([*sphinx, *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return built / "html"


# --- pages ----------------------------------------------------------------------------------------


@dataclass
class Page(HTMLParser):
    """The ids, links and loaded resources of a page."""

    path: Path
    ids: set[str] = field(default_factory=set[str])
    links: set[str] = field(default_factory=set[str])
    loaded: set[str] = field(default_factory=set[str])
    styles: str = ""
    is_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.is_style = tag == "style"
        self.styles += given.get("style", "")
        self.ids.add(given.get("id", ""))
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and given.get("rel") not in {"canonical", "author"}:
            self.loaded.add(given["href"])
        self.loaded |= {given[name] for name in ("src", "srcset", "data", "poster", "xlink:href") if name in given}

    def handle_data(self, data: str) -> None:
        self.styles += data if self.is_style else ""


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page by its path."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_link_and_resource_resolves(pages: dict[Path, Page]) -> None:
    dead: dict[str, set[str]] = defaultdict(set)
    for page in pages.values():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            known = pages[target].ids if target in pages else set[str]()
            if not target.is_file() or (parts.fragment and target in pages and unquote(parts.fragment) not in known):
                dead[page.path.name].add(link)

    assert len(pages) > 30
    assert dead == {}


def test_pages_load_no_external_resources(site: Path, pages: dict[Path, Page]) -> None:
    styles = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    styles |= {page.path: page.styles for page in pages.values()}
    named = {url for text in styles.values() for url in re.findall(r"(?:url\(|@import )['\"]?([^'\")]+)", text)}
    loaded = {url for page in pages.values() for url in page.loaded}

    assert {url for url in named | loaded if re.match(r"(?!data:)\w+:|//", url)} == set()


def test_every_public_name_is_on_a_page_of_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    reference = {each for page in pages.values() if page.path.is_relative_to(site / "reference") for each in page.ids}

    # The catalog's names and those of lifecycle.lifecycle are exported by the package above them.
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        if module not in FOR_OURSELVES
        for name in importlib.import_module(module).__all__
        if not {f"{module}.{name}", f"lifecycle.{name}"} & reference
    ]

    assert missing == []


def test_llms_txt_has_every_public_name(site: Path) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")

    assert text.startswith("# task-lifecycle\n")
    for module in PUBLIC:
        if module not in {*FOR_OURSELVES, "lifecycle.catalog", "lifecycle.lifecycle"}:
            _, _, section = text.partition(f"\n## {module}\n")
            listed = set(re.findall(r"^- `(\w+)", section.partition("\n## ")[0], re.MULTILINE))
            assert set(importlib.import_module(module).__all__) - listed == set(), module


def variables() -> Iterator[str]:
    """Yield what looks like the name of an environment variable in each module that reads the environment."""
    for path in MODULES.values():
        source = path.read_text(encoding="utf-8")
        if "os.environ" in source or "envvar=" in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and re.fullmatch(r"[A-Z]{2,}(_[A-Z]+)+|COLUMNS", str(node.value)):
                    yield str(node.value)


def test_every_environment_variable_is_on_its_page(site: Path) -> None:
    page = (site / "reference" / "environment.html").read_text(encoding="utf-8")
    read = {*variables()}

    assert {"HTTP_PROXY", "LIFECYCLE_JOURNAL", "COLUMNS"} <= read
    assert {name for name in read if f">{name}<" not in page} == set()


# --- in a browser ---------------------------------------------------------------------------------


SHOWN = [
    "index.html",
    "reference/lifecycles.html",
    "reference/api/lifecycle.html",
    "reference/command-line.html",
    "reference/service-files.html",
    "reference/journal-tables.html",
]
PHONE, DESKTOP = 390, 1300  # pixels


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_is_readable_on_every_screen(site: Path, browser: Chromium, name: str) -> None:
    for scheme, width in (("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE), ("dark", PHONE)):
        with browser.visit(site / name, scheme="dark" if scheme == "dark" else "light", width=width) as visit:
            assert (visit.errors, visit.console) == ([], [])
            assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []
            assert visit.ask("document.documentElement.scrollWidth") == width, "it scrolls sideways"
            colours = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 60)"
            assert visit.ask(colours) is (scheme == "dark")


def test_pictures_follow_the_chosen_colour_scheme(site: Path, browser: Chromium) -> None:
    ink = f"getComputedStyle(document.querySelector('.picture text[fill=\"{Colour.INK}\"]')).fill"

    def rgb(colour: str) -> str:
        return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"

    with browser.visit(site / "index.html", scheme="light") as visit:
        assert visit.ask(ink) == rgb(Colour.INK)
        visit.ask("document.body.dataset.theme = 'dark'")
        assert visit.ask(ink) == rgb(DARK[Colour.INK])
    with browser.visit(site / "index.html", scheme="dark") as visit:
        assert visit.ask(ink) == rgb(DARK[Colour.INK])
        visit.ask("document.body.dataset.theme = 'light'")
        assert visit.ask(ink) == rgb(Colour.INK)


def test_search_finds_an_exception_without_a_server(site: Path, browser: Chromium) -> None:
    with browser.visit(site / "index.html") as visit:
        visit.page.fill("input[name=q]", "IllegalTransition")
        visit.page.press("input[name=q]", "Enter")
        visit.page.wait_for_selector("#search-results li a")
        found = visit.ask("[...document.querySelectorAll('#search-results li a')].map(each => each.href)")

    assert any(link.partition("#")[0].endswith("reference/api/lifecycle.html") for link in found)
