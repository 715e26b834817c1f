"""The files of a log: paths, folders, patterns, suffixes, the standard input, and names that look like SQL."""

from __future__ import annotations

import errno
import io
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lifecycle_adapters.logs.files import Files
from lifecycle_adapters.logs.formats import Format, format_of
from lifecycle_adapters.logs.frames import DuckTable
from lifecycle_adapters.logs.log_errors import UnusableLog
from tests.adapters.logs.logs import AT, offered, records_in, row, write_parquet

CSV = f"task_id,at,status\nt,{AT},running\n"


def read(source: Files) -> list[tuple[str, str | None]]:
    """The file and the task of each row, in order."""
    with offered(source) as (bench, intake):
        return [(intake.files[record.place >> 40], record.task) for record in records_in(bench)]


def files_of(source: Files) -> list[str]:
    with offered(source) as (_, intake):
        assert intake.are_files
        return [Path(file).as_posix() for file in intake.files]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".parquet"):
            write_parquet(path, row())
        else:
            Path(path).write_text(CSV)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.parquet", "parquet"), ("a.PARQUET", "parquet"), ("a.csv", "csv"), ("a.csv.gz", "csv"),
        ("a.b.Csv.Zst", "csv"), ("a.jsonl", "jsonl"), ("a.ndjson.zstd", "jsonl"), ("a.json.gz", "jsonl"),
        ("a.parquet.gz", None), ("a.gz", None), ("a", None),
        ("csv", None), ("a.csv.zip", None), ("a.txt", None), ("x.csv/a", None), ("a.csv.bak", None),
    ],
)  # fmt: skip
def test_a_name_shows_the_format(name: str, kind: Format | None) -> None:
    assert format_of(name) == kind


class PathOfBytes:
    def __fspath__(self) -> bytes:
        return b"a.csv"


@pytest.mark.parametrize("path", [7, None, b"a.csv", ["a.csv", "b.csv"]])
def test_a_path_is_text_or_a_path(path: Any) -> None:
    with pytest.raises(TypeError, match="a path must be text or a Path, and several are several arguments, not "):
        Files(path)
    with pytest.raises(TypeError, match="a path must be a path in text, not bytes"):
        Files(PathOfBytes())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["delimiter", "encoding"])
@pytest.mark.parametrize("given", [5, b";", [";"]])
def test_options_of_csv_are_text(name: str, given: Any) -> None:
    options: dict[str, Any] = {name: given}
    with pytest.raises(TypeError, match=f"{name} must be a text, not "):
        Files("a.csv", **options)


def test_files_come_in_the_order_of_the_paths(folder: Path) -> None:
    write("b.parquet", "a.csv", "c.jsonl")
    assert files_of(Files("b.parquet", folder / "a.csv", "c.jsonl")) == ["b.parquet", str(folder / "a.csv"), "c.jsonl"]


def test_a_file_is_read_once_however_often_it_is_named(folder: Path) -> None:
    write("logs/a.csv", "logs/b.csv")
    Path("logs/same.csv").symlink_to("a.csv")
    assert files_of(Files("logs/b.csv", "logs", folder / "logs" / "b.csv", "./logs/*.csv")) == [
        "logs/b.csv",
        "logs/a.csv",
    ]


def test_a_folder_holds_all_logs_below_it_in_order(folder: Path) -> None:
    write("logs/b.csv", "logs/a/z.parquet", "logs/a/y.JSONL", "logs/a.csv", "logs/a-b/x.ndjson")
    write(
        "logs/README.md",
        "logs/_SUCCESS",
        "logs/.hidden.csv",
        "logs/_half.csv",
        "logs/.git/x.csv",
        "logs/_temporary/x.csv",
    )
    expected = ["logs/a/y.JSONL", "logs/a/z.parquet", "logs/a-b/x.ndjson", "logs/a.csv", "logs/b.csv"]
    assert files_of(Files("logs")) == expected
    assert files_of(Files("logs", format="csv")) == expected


def test_csv_files_take_a_delimiter_and_an_encoding(folder: Path) -> None:
    text = CSV.replace(",", ";").replace("\nt;", "\n\xe9;")
    Path("a.csv").write_bytes(text.encode("cp1252"))
    Path("b.csv").write_bytes(text.encode("cp1252"))
    assert read(Files("a.csv", "b.csv", delimiter=";", encoding="cp1252")) == [("a.csv", "\xe9"), ("b.csv", "\xe9")]


@pytest.mark.parametrize("options", [{"delimiter": ";"}, {"encoding": "utf-16"}])
def test_a_delimiter_or_an_encoding_of_other_files_than_csv_is_refused(folder: Path, options: dict[str, str]) -> None:
    write("a.csv", "b.parquet", "c.jsonl")
    for other in ("b.parquet", "c.jsonl"):
        with (
            pytest.raises(UnusableLog, match=rf"'{other}' is not a CSV file: a delimiter and an encoding are for CSV"),
            offered(Files("a.csv", other, **options)),  # type: ignore[arg-type]
        ):
            pass


def test_invalid_delimiter_or_encoding_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="a delimiter must be one character"):
        Files("a.csv", delimiter=";;")
    with pytest.raises(ValueError, match="unknown encoding 'utf-17'; did you mean"):
        Files("a.csv", encoding="utf-17")


def test_a_folder_may_be_called_like_a_file(folder: Path) -> None:
    write("log.parquet/part-0.parquet")
    assert files_of(Files("log.parquet")) == ["log.parquet/part-0.parquet"]


def test_folders_named_for_values_add_no_columns(folder: Path) -> None:
    write("logs/task_id=7/status=stopped/a.parquet")
    assert read(Files("logs")) == [("logs/task_id=7/status=stopped/a.parquet", "t")]


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("logs/*.csv", ["logs/a.csv", "logs/b.csv"]),
        ("logs/[ab].csv", ["logs/a.csv", "logs/b.csv"]),
        ("logs/?.csv", ["logs/a.csv", "logs/b.csv"]),
        ("logs/**/*.csv", ["logs/2026/c.csv", "logs/a.csv", "logs/b.csv"]),
        ("logs/20*", ["logs/2026/c.csv"]),
        ("logs/*", ["logs/2026/c.csv", "logs/a.csv", "logs/b.csv"]),
        ("logs/**", ["logs/2026/c.csv", "logs/a.csv", "logs/b.csv"]),
    ],
)
def test_globs_select_files_in_order(folder: Path, pattern: str, files: list[str]) -> None:
    write("logs/b.csv", "logs/a.csv", "logs/2026/c.csv", "logs/notes.txt", "logs/.d.csv")
    assert files_of(Files(pattern)) == files


@pytest.mark.parametrize("pattern", ["logs/**/*.csv", "**/*.csv", "./logs/**", "l*/**/[ab].csv", "**/**/a.csv"])
def test_cyclic_links_are_not_followed(folder: Path, pattern: str) -> None:
    """Two of them make 2 ** 40 paths."""
    write("logs/a.csv", "logs/deep/b.csv")
    for name in ("one", "two"):
        Path("logs", name).symlink_to(".")
        Path("logs", "deep", name).symlink_to("..")

    assert {path.removeprefix("./") for path in files_of(Files(pattern))} <= {"logs/a.csv", "logs/deep/b.csv"}


def test_a_dangling_link_is_reported_as_one(folder: Path) -> None:
    Path("a.csv").symlink_to("b.csv")
    Path("b.csv").symlink_to("a.csv")
    Path("c.csv").symlink_to("missing.csv")

    for name in ("a.csv", "b.csv", "c.csv"):
        with pytest.raises(UnusableLog, match=f"the link '{name}' leads to no file"):
            files_of(Files(name))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full", "/dev/null"])
def test_device_is_refused_as_a_log(device: str) -> None:
    with pytest.raises(UnusableLog, match=f"'{device}' is a device"):
        files_of(Files(device, format="csv"))


@pytest.mark.parametrize("path", ["mysql://u:secret@h/d", "host=h password=secret", "s3://key:secret@bucket/a.csv"])
def test_invalid_path_is_refused_and_not_shown(path: str) -> None:
    for source in (Files(path), DuckTable("log", path=path)):
        with pytest.raises(UnusableLog, match="that is not the path of a file") as raised, offered(source):
            raise AssertionError
        assert "secret" not in str(raised.value)


def test_format_applies_to_names_without_an_extension(folder: Path) -> None:
    write("a.log", "b.csv", "c.log")
    write_parquet("d.bin", row("d"))
    assert read(Files("*.log", "b.csv", format="csv"))[:2] == [("a.log", "t"), ("c.log", "t")]
    assert read(Files("d.bin", "b.csv", format="parquet")) == [("d.bin", "d"), ("b.csv", "t")]


@pytest.mark.parametrize(
    "name",
    ["a*.csv", "a?.csv", "[ab].csv", "**.csv", "it's; DROP TABLE records; --.csv", 'say "x".csv', " a b .csv",
     "$HOME.csv", "~.csv", "-.csv", "back\\slash.csv", "new\nline.csv", "ünï🙂.csv", "<b>.csv", "%41.csv", "=1+1.csv"],
)  # fmt: skip
def test_special_characters_in_a_file_name_are_literal(folder: Path, name: str) -> None:
    parquet = name.replace(".csv", ".parquet")
    write("a.csv", "ab.csv", "a.parquet", "ab.parquet")
    write_parquet(parquet, row(task="parquet"))
    Path(name).write_text(CSV.replace("\nt,", "\ntext,"))
    assert read(Files(parquet, name)) == [(parquet, "parquet"), (name, "text")]


def test_folders_may_have_any_names(folder: Path) -> None:
    write("a[1]/x.parquet", "a1/y.parquet", "a*'/z.parquet")
    assert files_of(Files("a[1]")) == ["a[1]/x.parquet"]
    assert read(Files("a*'")) == [("a*'/z.parquet", "t")]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("nothing.csv",), r"there is no file 'nothing\.csv'"),
        (("a.csv", "nothing.csv"), r"there is no file 'nothing\.csv'"),
        (("nothing/*.csv",), r"nothing that matches 'nothing/\*\.csv' is a log: .*\.parquet, \.csv, .*\.zstd"),
        (("*.txt",), r"nothing that matches '\*\.txt' is a log"),
        (("notes.txt",), r"the name of 'notes\.txt' does not show its format \(\.parquet, .*\): name the format"),
        (("empty",), "there is no log in the folder 'empty': the files of a log are .parquet"),
        (("-",), "the standard input has no name that shows its format: name the format"),
        (("a\0.csv",), r"there is no file 'a\\x00\.csv'"),
        (("a\0*.csv",), r"there is no file 'a\\x00\*\.csv'"),
        (("",), "there is no file ''"),
        (("x" * 5_000,), r"^there is no file 'x{149}\.\.\.x{149}'$"),
        (("x" * 5_000 + "*",), r"^nothing that matches 'x{149}\.\.\.x{148}\*' is a log"),
    ],
)
def test_a_file_that_is_not_a_log_is_reported(folder: Path, paths: tuple[str, ...], message: str) -> None:
    write("a.csv", "notes.txt", "empty/README.md")
    with pytest.raises(UnusableLog, match=message):
        files_of(Files(*paths))


def test_a_folder_that_cannot_be_read_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if path == "logs":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    write("logs/a.csv")
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UnusableLog, match="the folder 'logs' cannot be read: Permission denied"):
        files_of(Files("logs"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are texts")
def test_a_name_that_is_not_text_is_reported(folder: Path) -> None:
    Path("logs").mkdir()
    (folder / "logs" / os.fsdecode(b"\xff.csv")).write_text(CSV)
    with pytest.raises(UnusableLog, match=r"the name of '.*\\udcff\.csv' is not UTF-8"):
        files_of(Files("logs"))


def test_files_need_at_least_one_path() -> None:
    with pytest.raises(ValueError, match="a log needs at least one path"):
        Files()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_standard_input_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Format) -> None:
    content = {
        "csv": CSV.encode(),
        "jsonl": b'{"task_id": "t", "at": 1, "status": "running"}\n',
        "parquet": write_parquet("t.parquet", row()).read_bytes(),
    }[kind]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    write("a.csv")
    assert read(Files("a.csv", "-", "-", format=kind)) == [("a.csv", "t"), ("-", "t")]


class Vanishing(Files):
    """A folder whose files `gone.*` are removed as soon as they are listed."""

    def listed(self) -> list[tuple[str, Format]]:
        for gone in ("gone.parquet", "gone.csv"):
            write(gone)
        listed = super().listed()
        for gone in ("gone.parquet", "gone.csv"):
            Path(gone).unlink()
        return listed


def test_a_file_that_vanishes_is_broken(folder: Path) -> None:
    write_parquet("here.parquet", row())
    source = Vanishing(".")

    assert read(source) == [("./here.parquet", "t")]
    with offered(source) as (_, intake):
        assert intake.broken.keys() == {"./gone.parquet", "./gone.csv"}
        assert all("No such file" in why for why in intake.broken.values())


def test_a_process_without_a_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UnusableLog, match="-: it cannot be copied: it is closed"):
        read(Files("-", format="parquet"))
    with offered(Files("-", format="csv")) as (_, intake):
        assert intake.broken == {"-": "it is closed"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_pipe_is_read_once_and_kept(folder: Path, kind: Format) -> None:
    content = CSV.encode() if kind == "csv" else write_parquet("t.parquet", row()).read_bytes()
    os.mkfifo("pipe")
    with writing(Path("pipe"), content), offered(Files("pipe", format=kind)) as (bench, _):
        assert records_in(bench) == records_in(bench) != []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("path", ["logs", "logs/*.csv", "logs/**/*.csv", "logs/**", "log*", "logs/[ps]*"])
def test_pipes_and_sockets_among_files_are_left_out(folder: Path, path: str) -> None:
    """To open a pipe that nobody writes to takes for ever."""
    write("logs/a.csv", "logs/s.csv")
    os.mkfifo("logs/p.csv")
    Path("logs/pipe.csv").symlink_to("p.csv")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("logs/socket.csv")
        assert {Path(name).name for name in files_of(Files(path))} <= {"a.csv", "s.csv"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize(("path", "message"), [("logs", "there is no log in"), ("logs/*", "nothing that matches")])
def test_pipe_is_a_log_only_if_it_is_named(folder: Path, path: str, message: str) -> None:
    Path("logs").mkdir()
    os.mkfifo("logs/p.csv")
    with pytest.raises(UnusableLog, match=message):
        files_of(Files(path))
    with writing(Path("logs/p.csv"), CSV.encode()):
        assert read(Files("logs/p.csv")) == [("logs/p.csv", "t")]


def test_links_without_files_in_a_folder_are_broken(folder: Path) -> None:
    write("logs/a.csv")
    Path("logs/b.csv").symlink_to("missing.csv")
    with offered(Files("logs")) as (_, intake):
        assert [*intake.broken] == ["logs/b.csv"]


def writing(pipe: Path, content: bytes) -> _Writing:
    return _Writing(lambda: pipe.write_bytes(content))


class _Writing:
    def __init__(self, write: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=write, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._thread.join()
