"""Every page of the documentation is read as a reader would: its blocks are run in order, its outputs compared.

How a page says what is to be done is at the top of tests/support/pages.py.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lifecycle_adapters.http import HttpBinding
from tests.support.packages import MODULES, ROOT
from tests.support.pages import BLOCK, DATABASE, Example, Reader, examples
from tests.test_packaging import EXTRAS

DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", *DOCS)
# Their programs need a server of an engine: tests/test_engines.py and tests/adapters/test_dbos_processes.py run them.
ENGINES = tuple(f"docs/how-to/{name}.md" for name in ("airflow", "celery", "dbos", "prefect", "temporal"))
# Spark takes long to start; the others start many processes, and show what other tests look at more closely.
HEAVY = {
    "docs/tutorial/first-task.md",
    "docs/tutorial/own-service.md",
    "docs/how-to/add-your-service.md",
    "docs/how-to/check-logs-in-ci.md",
    "docs/how-to/check-logs-in-postgresql.md",
    "docs/how-to/check-logs.md",
    "docs/how-to/diff.md",
    "docs/how-to/draw-diagrams.md",
    "docs/how-to/drift.md",
    "docs/how-to/govern-a2a-and-mcp-tasks.md",
    "docs/how-to/import.md",
    "docs/how-to/keep-a-journal.md",
    "docs/how-to/receive-webhooks.md",
    "docs/how-to/recover.md",
    "docs/how-to/send-commands.md",
    "docs/how-to/spark.md",
    "docs/how-to/test-your-orchestrator.md",
    "docs/how-to/use-the-command-line.md",
    "docs/how-to/watch-many-tasks.md",
    "docs/how-to/write-an-orchestrator.md",
}
OFFICIAL = ROOT / "tests" / "adapters" / "drift" / "documents"  # pages name them without their folder
LANGUAGES = {"console", "csv", "json", "mermaid", "python", "sh", "text", "toml", "yaml"}
RUN = {"console", "python", "yaml", "json"}


def runnable(document: str) -> list[Example]:
    return [each for each in examples(document) if each.language in RUN or each.file]


PAGES = [
    pytest.param(each, marks=pytest.mark.heavy) if each in HEAVY else each
    for each in DOCUMENTS
    if each not in ENGINES and runnable(each)
]


@pytest.mark.parametrize("document", PAGES)
def test_examples_of_a_page_run(document: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    blocks = runnable(document)
    for path in OFFICIAL.iterdir():
        if any(path.name in each.text for each in blocks):
            (tmp_path / path.name).symlink_to(path)
    replace: dict[str, str] = {}
    if any(DATABASE in each.text for each in blocks):
        replace[DATABASE] = request.getfixturevalue("postgres_url").replace("+psycopg", "")
    with Reader(tmp_path, replace) as reader:
        for block in blocks:
            reader.read(block)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_of_a_kind_that_is_tested(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    fences = re.findall(r"^ *(?:```|~~~)(.*)$", text, re.MULTILINE)
    opened = [fence for fence in fences if fence]
    shown = [fence for fence in opened if not fence.startswith("{") or fence.startswith("{literalinclude}")]
    outputs = [each.output for each in examples(document) if each.output is not None]

    assert len(fences) == 2 * len(opened), "a fence has no language, or is not closed"
    assert len(shown) == len(BLOCK.findall(text)), "a fence is indented, or has options"
    assert {each.language for each in examples(document)} <= LANGUAGES
    assert not [fence for fence in opened if fence.startswith(("{code", "{doctest"))]
    assert len(outputs) == shown.count("text"), "a text block follows no program"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_that_are_not_run_name_existing_files(document: str) -> None:
    """In a block of language `sh` there is no output to compare: it installs, or calls make."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for block in examples(document):
        for line in block.text.splitlines() if block.language == "sh" and document not in ENGINES else ():
            words = shlex.split(line, comments=True)
            if words[:2] == ["pip", "install"]:
                wanted = [Requirement(word) for word in words[2:]]
                ours = [each for each in wanted if each.name == "task-lifecycle"]
                assert [each.extras - {*EXTRAS} for each in ours] == [set()], line
            elif words[:1] == ["make"]:
                assert words[1] in targets, line
            else:
                assert not words, f"{document}:{block.line}: show {line!r} with its output, in a `console` block"


def test_the_first_example_fits_the_first_screen() -> None:
    first = next(each for each in examples("README.md") if each.language == "python")

    assert first.line < 20
    assert len(first.text.splitlines()) <= 15


def slugs(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_resolves(document: str) -> None:
    path = ROOT / document
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
    named = re.findall(r'src(?:set)?="(?!https?:)([^"]+)"', text)
    targets = [(path.parent / link if link else path, anchor) for link, anchor in links]

    assert [link for link in [*(link for link, _ in links), *named] if not (path.parent / link).exists()] == []
    assert [anchor for target, anchor in targets if anchor and anchor not in slugs(target)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_file_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:lifecycle|adapters|tests|diagrams|benchmarks|examples|docs)/[\w./-]*)`", text)

    assert [name for name in named if not (ROOT / name).exists()] == []


IMPORT = re.compile(r"^ *(?:>>> )?from (lifecycle[\w.]*) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)
EXAMPLES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "examples").rglob("*.py"))]
WITHOUT_ALL = {
    "lifecycle.effects",  # its page is for people who write a driver
    "lifecycle.memory",  # in a sandbox, which passes single modules through
    "lifecycle_adapters.services.v4_emulation",  # the profile of one service
}


def exported_by(module: str) -> set[str]:
    """Return the names in a module's `__all__`, and its submodules; nothing is imported."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    lists = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    inner = {each.rpartition(".")[2] for each in MODULES if each.rpartition(".")[0] == module}
    return {name for names in lists for name in names} | inner


@pytest.mark.parametrize("document", [*DOCUMENTS, *EXAMPLES])
def test_imports_in_documents_are_public(document: str) -> None:
    for module, names in IMPORT.findall((ROOT / document).read_text(encoding="utf-8")):
        if module not in WITHOUT_ALL:
            imported = {each.split()[0] for each in names.strip("()").split(",") if each.strip()}
            assert imported <= exported_by(module), module


def test_webhooks_that_a_page_declares_fit_a_service() -> None:
    [part] = [each.text for each in examples("docs/how-to/receive-webhooks.md") if each.language == "yaml"]
    whole = (ROOT / "examples" / "services" / "print-job.yaml").read_text(encoding="utf-8") + part

    declared = HttpBinding.from_yaml(whole).webhooks
    assert declared is not None
    assert declared.kinds == ("job.updated",)


@pytest.mark.parametrize("section", ["tutorial", "how-to"])
def test_index_of_a_section_names_its_pages(section: str) -> None:
    folder = ROOT / "docs" / section
    index = (folder / "index.md").read_text(encoding="utf-8")
    [tree] = re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.DOTALL | re.MULTILINE)
    named = [line for line in tree.splitlines() if line and not line.startswith(":")]

    assert sorted(named) == sorted(path.stem for path in folder.glob("*.md") if path.stem != "index")
