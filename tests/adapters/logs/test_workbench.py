"""The DuckDB session: its limits, its directory, its reports of progress, and its errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle_adapters.logs.duckdb_session import DuckDbSession, identifier, literal
from lifecycle_adapters.logs.log_errors import EngineFailed, UnusableLog

LONG = "SELECT count(*) FROM range(3000000000) a(i) WHERE hash(i) = 1"  # seconds, and nothing in memory


def test_spill_directory_is_private_and_removed(tmp_path: Path) -> None:
    with DuckDbSession(memory="20MB", threads=1, spill=tmp_path) as bench:
        bench.create_table("many", "SELECT md5(i::VARCHAR) AS text FROM range(1000000) t(i)")
        [directory] = tmp_path.iterdir()
        assert [path for path in (directory / "duckdb").rglob("*") if path.is_file()] != []
        assert sum(1 for _ in bench.rows("SELECT text FROM many")) == 1_000_000

    assert list(tmp_path.iterdir()) == []


def test_a_full_spill_directory_is_reported() -> None:
    with DuckDbSession(memory="20MB", threads=1) as bench:
        bench.run("SET GLOBAL max_temp_directory_size = '1MB'")
        with pytest.raises(EngineFailed, match="give it more memory, or more space to spill into"):
            bench.create_table("many", "SELECT md5(i::VARCHAR) AS text FROM range(1000000) t(i)")


@pytest.mark.parametrize("memory", ["much", "12 parsecs", "-1", " -1GB"])
def test_invalid_memory_limit_is_refused_and_leaves_no_files(memory: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="memory must be a number and a unit of KB, MB, GB"):
        DuckDbSession(memory=memory, spill=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("enough", "too_little"), [("16MB", "15.9MB"), ("16000 kb", "15999KB"), ("15.3MiB", "15.2MiB")]
)
def test_memory_limit_has_a_minimum(enough: str, too_little: str) -> None:
    DuckDbSession(memory=enough, threads=1).close()
    with pytest.raises(ValueError, match="memory must be at least 16MB"):
        DuckDbSession(memory=too_little)


@pytest.mark.parametrize("too_much", ["1000001TB", "99999999TB", "99999999999999999999 KB", "9" * 400 + "GB"])
def test_memory_has_a_greatest_size(too_much: str) -> None:
    DuckDbSession(memory="1000000TB", threads=1).close()
    with pytest.raises(ValueError, match="memory must be at most 1000000TB"):
        DuckDbSession(memory=too_much)


def test_spill_directory_must_exist(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="no directory to spill into"):
        DuckDbSession(spill=tmp_path / "absent")
    with pytest.raises(ValueError, match="spill must be the path of a folder in UTF-8, not ''"):
        DuckDbSession(spill="")


def test_data_errors_and_engine_errors_differ() -> None:
    with DuckDbSession(threads=1) as bench:
        with pytest.raises(UnusableLog, match="Could not convert"):
            bench.run("SELECT 'soon'::INTEGER")
        with pytest.raises(EngineFailed, match="does not exist"):
            bench.run("SELECT * FROM absent")


def test_exception_of_the_progress_callback_ends_the_work() -> None:
    def refuse(_doing: str, _share: float | None) -> None:
        raise ZeroDivisionError

    with DuckDbSession(threads=1, progress=refuse) as bench, pytest.raises(ZeroDivisionError):
        bench.run(LONG, doing="waiting")


IN_A_NOTEBOOK = """
import sys, types
from types import SimpleNamespace

IPython = types.ModuleType("IPython")  # what DuckDB recognises a notebook by; ipywidgets is not installed
IPython.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = IPython

from lifecycle_adapters.logs.duckdb_session import DuckDbSession

with DuckDbSession(threads=1, progress=lambda doing, share: None) as bench:
    bench.run("CREATE TABLE one AS SELECT 1 AS n")
    print(list(bench.rows("SELECT n FROM one")))
"""


def test_notebook_without_widgets_can_check_logs() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_NOTEBOOK], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[(1,)]\n", "")


def test_close_callbacks_run_before_the_directory_is_removed() -> None:
    ended: list[bool] = []
    with DuckDbSession(threads=1) as bench:
        bench.on_close(lambda: ended.append(Path(bench.directory).is_dir()))

    assert ended == [True]


@pytest.mark.parametrize("make", [literal, identifier])
def test_text_that_is_not_utf8_never_reaches_duckdb(make: Callable[[str], str]) -> None:
    with pytest.raises(UnusableLog, match=r"'a\\ud800' is not UTF-8"):
        make("a\ud800")


@pytest.mark.parametrize("text", ["", "'", "''; DROP TABLE t --", '"', "a\\'b", "\0", "é\n\u202e"])
def test_foreign_text_is_quoted_in_sql(text: str) -> None:
    with DuckDbSession(threads=1) as bench:
        if text:
            [[found]] = bench.run(f"SELECT {identifier('x' + text)} FROM (SELECT 1 AS {identifier('x' + text)})")
            assert found == 1
        assert bench.run(f"SELECT {literal(text)}") == [(text,)]
