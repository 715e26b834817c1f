"""The published package: version bounds, the lock, the contents of the wheel, and the features of each extra."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lifecycle import V1
from tests.support.packages import PACKAGES, ROOT

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK = ROOT / "constraints.txt"
README = (ROOT / "README.md").read_text(encoding="utf-8")


# --- bounds and lock ---------------------------------------------------------------------------


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml asks for, by whatever name."""
    groups: dict[str, list[Any]] = PYPROJECT["dependency-groups"]
    lists = [PYPROJECT["build-system"]["requires"], PROJECT["dependencies"], *EXTRAS.values(), *groups.values()]
    lines = [line for each in lists for line in each if isinstance(line, str)]
    return [each for each in map(Requirement, lines) if each.name != PROJECT["name"]]


def locked() -> dict[str, str]:
    """The version of each locked distribution."""
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_a_dependency_is_bounded_on_both_sides_and_locked_between(requirement: Requirement) -> None:
    operators = sorted(each.operator for each in requirement.specifier)

    assert operators == ["<", ">="]
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_the_lock_contains_only_names_and_versions() -> None:
    """An address or a file in it would bind the project to one machine."""
    first, *lines = LOCK.read_text(encoding="utf-8").splitlines()

    assert first.startswith("#")
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []


def test_the_all_extra_contains_every_light_extra() -> None:
    [everything] = map(Requirement, EXTRAS["all"])

    assert everything.name == PROJECT["name"]
    assert everything.extras == {*EXTRAS} - {"all", *TOO_HEAVY}


def test_every_supported_python_is_declared() -> None:
    versions = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]

    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in versions


# --- the wheel ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist of this checkout: the one that $DIST names, otherwise built here."""
    if given := os.environ.get("DIST"):
        return ROOT / given
    directory = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    [built] = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    """The source distribution."""
    [built] = dist.glob("*.tar.gz")
    return built


def test_the_wheel_contains_exactly_both_packages(wheel: Path) -> None:
    files = [(path, package) for package in PACKAGES.values() for path in package.rglob("*") if path.is_file()]
    ours = {path.relative_to(package.parent).as_posix() for path, package in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert {f"{name}/py.typed" for name in PACKAGES} <= held
    assert held == ours


def test_wheel_contains_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        papers = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        entry_points = archive.read(papers["entry_points.txt"]).decode()

    assert "LICENSE" in papers
    assert "lifecycle = lifecycle_adapters.cli:main" in entry_points


def test_published_metadata_is_valid_and_complete(wheel: Path, sdist: Path) -> None:
    name = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}"
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as sources:
        source = sources.extractfile(f"{name}/PKG-INFO")
        assert source is not None
        both = [archive.read(f"{name}.dist-info/METADATA"), source.read()]

    described = subprocess.run(
        [sys.executable, "-m", "hatch_fancy_pypi_readme"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for text in both:
        metadata = Metadata.from_email(text, validate=True)  # as the index does
        assert (metadata.name, str(metadata.version)) == (PROJECT["name"], PROJECT["version"])
        assert metadata.description_content_type == "text/markdown"
        assert metadata.description == described.removesuffix("\n")  # that of `print`


# --- in an environment of its own --------------------------------------------------------------

# A statement for each extra that needs it, and nothing beyond it. PATH is empty: no `dot` from elsewhere.
NEEDS = {
    "yaml": "from lifecycle import Lifecycle; Lifecycle.from_file('declared.yaml')",
    "testing": "import lifecycle.testing",
    "machine": "import lifecycle_adapters.machine",
    "http": "from lifecycle_adapters.http import Client; Client('v2', api_key='any').close()",
    "emulator": "from lifecycle_adapters.emulator import create_app; create_app()",
    "journal": "from lifecycle_adapters.journal import SqlJournal; SqlJournal('journal.db').close()",
    "postgres": "from lifecycle_adapters.journal import JournalUnavailable, SqlJournal\n"
    "try: SqlJournal('postgresql://127.0.0.1:1/none')\nexcept JournalUnavailable: pass",
    "watch": "import lifecycle_adapters.watch",
    "dbos": "import lifecycle_adapters.dbos",
    "telemetry": "from lifecycle_adapters import telemetry; assert telemetry.is_present",
    "arrays": "import lifecycle_adapters.arrays",
    "logs": "import lifecycle_adapters.logs.check",
    "spark": "import lifecycle_adapters.logs.spark",
    "drift": "from lifecycle_adapters.drift import UnusableDocument, load\n"
    "try: load('http://127.0.0.1:1/none')\nexcept UnusableDocument: pass\n"
    "try: load('declared.yaml')\nexcept UnusableDocument: pass",
    "render": "from lifecycle_adapters.render import to_svg; from lifecycle import V1\nto_svg(V1.diagram())",
    "cli": "import sys; sys.argv = ['lifecycle', 'list']; from lifecycle_adapters.cli import main; main()",
}

# They must be asked for by name: Spark alone is ten times as large as all others together.
TOO_HEAVY = {"spark"}

# Those without which everything works: nobody is told to install them.
ONLY_ADD = {"telemetry"}


class Environment:
    """A virtual environment with one requirement in it, such as a wheel, and what that asks for."""

    def __init__(self, directory: Path, *requirement: str) -> None:
        self.directory = directory
        venv.create(directory, symlinks=os.name != "nt")
        self.scripts = directory / ("Scripts" if os.name == "nt" else "bin")
        (directory / "declared.yaml").write_text(V1.to_json(), encoding="utf-8")  # JSON is YAML
        self.install("--constraint", str(LOCK), *requirement)

    def install(self, *requirement: str) -> None:
        """Install one more."""
        self._pip("install", "--quiet", *requirement)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, out of sight of this checkout."""
        program = str(self.scripts / command[0])
        return subprocess.run(
            [program, *command[1:]],
            cwd=self.directory, env={"PATH": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def installed(self) -> set[str]:
        """The names of all distributions in it."""
        listed: list[dict[str, str]] = json.loads(self._pip("list", "--format", "json"))
        return {canonicalize_name(each["name"]) for each in listed}

    def _pip(self, *arguments: str) -> str:
        pip = [sys.executable, "-m", "pip", "--python", str(self.scripts / "python"), *arguments]
        return subprocess.run(pip, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """An environment without any extra."""
    return Environment(tmp_path_factory.mktemp("bare"), str(wheel))


def test_every_extra_is_tested() -> None:
    assert {*NEEDS} == {*EXTRAS} - {"all"}


@pytest.mark.heavy
def test_an_sdist_and_an_editable_install_hold_both_packages(tmp_path: Path, sdist: Path) -> None:
    for requirement in ([f"{sdist}[http]"], ["--editable", f"{ROOT}[http]"]):
        environment = Environment(tmp_path / str(len(requirement)), *requirement)
        done = environment.run("python", "-c", NEEDS["http"])
        assert (done.returncode, done.stderr) == (0, ""), requirement


@pytest.mark.heavy
def test_the_first_example_of_the_readme_runs_with_the_wheel(tmp_path: Path, wheel: Path) -> None:
    example = re.search(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert example is not None
    done = Environment(tmp_path, f"{wheel}[emulator,http]").run("python", "-W", "error", "-c", example[1])

    assert (done.returncode, done.stdout, done.stderr) == (0, example[2], "")


@pytest.mark.heavy
def test_packages_named_adapters_coexist_with_ours(tmp_path: Path, wheel: Path) -> None:
    """The distribution of that name adds to Hugging Face's transformers."""
    environment = Environment(tmp_path, f"{wheel}[http]")
    environment.install("--no-deps", "adapters==1.3.0")  # its dependencies are several gigabytes
    theirs = environment.run("python", "-c", "import importlib.util as u; print(u.find_spec('adapters').origin)")
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "__init__.py").write_text("OWNER = 'a user'", encoding="utf-8")
    own = environment.run("python", "-c", f"{NEEDS['http']}\nimport adapters; print(adapters.OWNER)")

    assert "site-packages" in theirs.stdout, theirs
    assert (own.stdout, own.stderr) == ("a user\n", "")
    assert "task-lifecycle" in environment.installed()


@pytest.mark.heavy
def test_the_wheel_depends_on_pydantic_only(bare: Environment) -> None:
    brought = {"pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"}

    assert bare.installed() == {PROJECT["name"]} | brought
    assert bare.run("python", "-c", "import lifecycle").returncode == 0


@pytest.mark.heavy
def test_telemetry_imports_without_its_extra(bare: Environment) -> None:
    done = bare.run("python", "-c", "from lifecycle_adapters import telemetry; assert not telemetry.is_present")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.heavy
@pytest.mark.parametrize("extra", sorted({*NEEDS} - ONLY_ADD))
def test_a_missing_extra_names_the_command_that_installs_it(bare: Environment, extra: str) -> None:
    done = bare.run("python", "-c", NEEDS[extra])

    assert done.returncode != 0
    assert f"pip install 'task-lifecycle[{extra}]'" in done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("command", "extras"),
    [
        ("list", "cli"),
        ("watch --help", "cli"),
        ("watch --api v2 --journal j.db", "cli,watch,journal"),
        ("wait --api v2 --journal=postgresql://localhost/x 1", "cli,http,journal,postgres"),
        ("report own.yaml postgresql://localhost/x --table t", "cli,logs,postgres,yaml"),
        ("check v1 x.csv --engine spark", "cli,logs,spark"),
        ("show own.yaml -f svg", "cli,yaml,render"),
        ("demo", "cli,emulator,http,journal"),
    ],
)
def test_a_command_names_all_its_missing_extras_in_one_line(bare: Environment, command: str, extras: str) -> None:
    done = bare.run("lifecycle", *command.split())

    kind = "an extra" if extras == "cli" else "extras"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lifecycle: this command needs {kind}: pip install 'task-lifecycle[{extras}]'\n"


@pytest.mark.heavy
@pytest.mark.parametrize("extra", NEEDS)
def test_an_extra_installs_all_that_its_adapter_needs(tmp_path: Path, wheel: Path, extra: str) -> None:
    done = Environment(tmp_path, f"{wheel}[{extra}]").run("python", "-c", NEEDS[extra])

    assert done.returncode == 0, done.stderr
