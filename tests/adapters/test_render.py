"""Pictures rendered by the real layout program, its failures, and the gallery."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle import CATALOG, V1, V3_FULL, Lifecycle, MissingExtra, Origin
from lifecycle.diagram import Colour, Diagram, Edge, Mark, Node
from lifecycle_adapters.render import DARK, RenderError, to_png, to_svg, write_gallery
from tests.support.contrast import contrast
from tests.support.layout import install, without_layout

SVG = "{http://www.w3.org/2000/svg}"


def elements(svg: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{SVG}{tag}"))


def texts(svg: str) -> list[str]:
    """Return the drawn texts; Graphviz writes some spaces as no-break spaces."""
    return ["".join(text.itertext()).replace("\xa0", " ").strip() for text in elements(svg, "text")]


# --- SVG ---------------------------------------------------------------------------------------


def test_svg_draws_every_state_and_row(declared: Lifecycle[str, str]) -> None:
    svg = to_svg(declared.diagram())

    drawn = texts(svg)
    for state in declared.states:
        assert state.name in drawn
    for row in declared.transitions:
        assert row.event in drawn
    lines = {(row.source, row.target, declared.event(row.event).origin) for row in declared.transitions}
    shared = [event for event, count in Counter(row.event for row in declared.transitions).items() if count >= 4]
    drawn_lines = [group for group in elements(svg, "g") if group.get("class") == "edge"]
    assert len(drawn_lines) == 1 + len(lines) + len(shared), "where many lines meet, one more goes on"
    assert [title.text for title in elements(svg, "title")] == [declared.name]


def test_svg_has_no_external_reference_and_no_script(declared: Lifecycle[str, str]) -> None:
    svg = to_svg(declared.diagram())

    used = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}
    assert used <= {"svg", "title", "style", "g", "path", "polygon", "polyline", "ellipse", "text"}
    assert not re.search(r"href|url\(|@import|<!|<\?", svg)
    assert set(re.findall(r"https?://[^\"]+", svg)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_svg_has_a_dark_form_of_every_colour(declared: Lifecycle[str, str]) -> None:
    svg = to_svg(declared.diagram(current=declared.initial))

    painted = {element.get(part) for element in ET.fromstring(svg).iter() for part in ("fill", "stroke")}
    assert painted - {None, "none"} <= set(DARK)
    (style,) = (element.text or "" for element in elements(svg, "style"))
    assert style.strip().startswith("@media (prefers-color-scheme: dark)")
    assert all(f'[fill="{light}"] {{ fill: {dark} }}' in style for light, dark in DARK.items())


def test_every_colour_has_a_dark_form() -> None:
    assert set(DARK) == set(Colour)


@pytest.mark.parametrize("theme", [{colour: str(colour) for colour in Colour}, DARK], ids=["light", "dark"])
def test_colours_are_legible(theme: dict[Colour, str]) -> None:
    paper = theme[Colour.PAPER]
    fills = [theme[each] for each in Colour if each.name.endswith("FILL")]

    assert all(contrast(theme[Colour.INK], fill) >= 7 for fill in fills)  # WCAG 2.2, enhanced
    assert all(contrast(theme[each], paper) >= 4.5 for each in (Colour.BORDER, Colour.CALLER, Colour.REMOTE))


@settings(max_examples=25)
@given(
    state=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
    event=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
)
def test_svg_escapes_hostile_names(state: str, event: str) -> None:
    node, edge = Node(state, "", (Mark.INITIAL, Mark.FINAL)), Edge(state, event, state, Origin.CALLER, "")

    svg = to_svg(Diagram(state, "", (node,), (edge,)))

    assert {state, event} <= set(texts(svg))
    assert [title.text for title in elements(svg, "title")] == [state]


@pytest.mark.parametrize(
    "name", [*'"\\|<>&{}[];:', "<script>", "&lt;", "\\N\\G\\n\\l", "-->", "]]>", "a\\", "<!--", '="']
)
def test_svg_shows_each_special_character(name: str) -> None:
    node, edge = Node(name, "", (Mark.INITIAL, Mark.FINAL)), Edge(name, f"by {name}", name, Origin.REMOTE, "")

    svg = to_svg(Diagram(name, "", (node,), (edge,)))

    assert {name, f"by {name}"} <= set(texts(svg))
    assert [title.text for title in elements(svg, "title")] == [name]


# --- the layout --------------------------------------------------------------------------------

Point = tuple[float, float]


def test_no_line_crosses_a_label(declared: Lifecycle[str, str]) -> None:
    svg = to_svg(declared.diagram())
    edges = [group for group in elements(svg, "g") if group.get("class") == "edge"]
    curves = [point for group in edges for path in group.iter(f"{SVG}path") for point in points(path.get("d") or "")]

    for group in edges:
        for label in group.iter(f"{SVG}text"):
            left, top, right, bottom = box(label)
            assert not [x for x, y in curves if left < x < right and top < y < bottom], (label.text, declared.name)


def box(label: ET.Element) -> tuple[float, float, float, float]:
    """Return a text's approximate box: letters are half as wide as the font is high; `y` is their baseline."""
    x, y, size = (float(label.get(name) or 0) for name in ("x", "y", "font-size"))
    half = size * len((label.text or "").strip()) / 4
    return x - half, y - 0.7 * size, x + half, y + 0.25 * size


def points(path: str) -> list[Point]:
    """Return points along a path of cubic curves, "M x,y C x,y x,y x,y ..."."""
    found = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]
    pieces = [found[start : start + 4] for start in range(0, len(found) - 3, 3)]
    return [on_curve(piece, step / 50) for piece in pieces for step in range(51)]


def on_curve(ends: list[Point], t: float) -> Point:
    """Return a point of a cubic curve by De Casteljau's algorithm."""
    while len(ends) > 1:
        ends = [(a + (c - a) * t, b + (d - b) * t) for (a, b), (c, d) in pairwise(ends)]
    return ends[0]


# --- PNG ---------------------------------------------------------------------------------------


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_png_has_a_plausible_size(declared: Lifecycle[str, str]) -> None:
    png = to_png(declared.diagram())

    width, height = size_of(png)
    assert 400 < width < 5_000
    assert 150 < height < 3_000
    assert len(png) > 10_000


def test_png_grows_with_its_scale() -> None:
    size = size_of(to_png(V1.diagram(), scale=1))
    twice = size_of(to_png(V1.diagram(), scale=2))

    assert list(twice) == pytest.approx([2 * each for each in size], abs=2)


@pytest.mark.parametrize("render", [to_svg, to_png])
@pytest.mark.parametrize("given", [V1, None, "v1"])
def test_non_diagram_is_refused(render: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^a picture is drawn from a Diagram, not from .*; give lifecycle.diagram\(\)$"
    ):
        render(given)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_png_needs_a_positive_scale(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        to_png(V1.diagram(), scale=scale)


def test_pictures_are_the_same_every_time() -> None:
    picture = V3_FULL.diagram()

    assert to_svg(picture) == to_svg(picture)
    assert to_png(picture) == to_png(picture)


# --- the program -------------------------------------------------------------------------------


@pytest.fixture
def without_wheel(tmp_path: Path) -> Iterator[Path]:
    """Hide graphviz-pure, and return a folder whose programs are on the PATH."""
    with without_layout(tmp_path):
        yield tmp_path


def test_without_a_program_the_extra_is_named(without_wheel: Path) -> None:
    with pytest.raises(MissingExtra, match=re.escape("pip install 'task-lifecycle[render]'")):
        to_svg(V1.diagram())


@pytest.mark.parametrize("name", ["graphviz-pure", "dot"])
def test_a_program_on_the_path_is_used_if_the_wheel_is_missing(without_wheel: Path, name: str) -> None:
    install(without_wheel / name, f"#!/bin/sh\nexec '{wheel_program()}' \"$@\"\n")

    assert "running" in texts(to_svg(V1.diagram()))


def wheel_program() -> str:
    found = shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    assert found is not None
    return found


def test_the_wheels_program_need_not_be_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = to_svg(V1.diagram())
    monkeypatch.setenv("PATH", str(tmp_path))

    assert to_svg(V1.diagram()) == expected


def test_a_failing_programs_message_is_quoted(without_wheel: Path) -> None:
    install(without_wheel / "dot", "#!/bin/sh\necho 'Format: \"svg\" not recognized' >&2\nexit 1\n")

    with pytest.raises(RenderError, match='dot: Format: "svg" not recognized'):
        to_svg(V1.diagram())


def test_a_program_that_cannot_run_is_named(without_wheel: Path) -> None:
    install(without_wheel / "dot", "#!/nowhere/at/all\n")

    with pytest.raises(RenderError, match=r"dot: .*No such file"):
        to_svg(V1.diagram())


def test_a_program_that_hangs_is_killed(without_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Callable[..., Any] = subprocess.run

    def run_a_hundred_times_as_fast(*command: Any, timeout: float, **settings: Any) -> Any:
        return run(*command, timeout=timeout / 100, **settings)

    monkeypatch.setattr(subprocess, "run", run_a_hundred_times_as_fast)
    install(without_wheel / "dot", "#!/bin/sh\necho $$ >&2\nexec /bin/sleep 60\n")

    with pytest.raises(RenderError, match=r"dot took longer than 30 s: the lifecycle is too large") as error:
        to_svg(V1.diagram())

    assert isinstance(error.value.__cause__, subprocess.TimeoutExpired)
    with pytest.raises(ProcessLookupError):
        os.kill(int(error.value.__cause__.stderr or b""), 0)


# --- the gallery -------------------------------------------------------------------------------


def test_gallery_holds_every_lifecycle_in_every_format(tmp_path: Path) -> None:
    paths = write_gallery(tmp_path / "new" / "pictures")

    suffixes = {".md", ".mmd", ".mermaid", ".dot", ".puml", ".svg", ".png"}
    assert {path.name for path in paths} == {"README.md"} | {
        f"{name}{suffix}" for name in CATALOG for suffix in suffixes
    }
    assert sorted(paths) == sorted((tmp_path / "new" / "pictures").iterdir())


def test_gallery_index_shows_each_picture_and_links_what_exists(tmp_path: Path) -> None:
    write_gallery(tmp_path, [V1, V3_FULL])

    index = (tmp_path / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", index)
    linked = re.findall(r"\]\(([^)]+)\)", index)
    assert shown == ["v1.svg", "v3-full.svg"]
    assert {tmp_path / name for name in linked} | {tmp_path / "README.md"} == set(tmp_path.iterdir())


def test_gallery_is_overwritten_and_obsolete_files_are_removed(tmp_path: Path) -> None:
    write_gallery(tmp_path, [V1])
    index = tmp_path / "README.md"
    index.write_text(index.read_text(encoding="utf-8") + "[PNG](v0.png)\n", encoding="utf-8")
    (tmp_path / "v0.png").touch()
    (tmp_path / "v1.svg").write_text("changed by hand")
    (tmp_path / "notes.md").write_text("mine")

    write_gallery(tmp_path, [V1])

    assert not (tmp_path / "v0.png").exists()
    assert (tmp_path / "v1.svg").read_text(encoding="utf-8") == to_svg(V1.diagram())
    assert (tmp_path / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "v1.svg"])
def test_gallery_overwrites_no_foreign_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[mine](v1.md)")

    with pytest.raises(RenderError, match=f"not from an earlier gallery: {name}"):
        write_gallery(tmp_path, [V1])

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "[mine](v1.md)"


def test_gallery_removes_nothing_outside_its_directory(tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    write_gallery(gallery, [V1])
    (tmp_path / "precious").touch()
    index = gallery / "README.md"
    index.write_text(index.read_text(encoding="utf-8") + "[x](../precious) [y](..) [z](.)\n", encoding="utf-8")

    write_gallery(gallery, [V1])

    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("name", ["README.md", "v1.svg"])
def test_gallery_replaces_a_link_in_place_of_its_file(tmp_path: Path, name: str) -> None:
    gallery, precious = tmp_path / "gallery", tmp_path / "precious"
    write_gallery(gallery, [V1])
    expected = (gallery / name).read_bytes()
    (gallery / name).rename(precious)
    (gallery / name).symlink_to(precious)
    precious.write_bytes(expected + b"mine")

    write_gallery(gallery, [V1])

    assert precious.read_bytes() == expected + b"mine"
    assert not (gallery / name).is_symlink()
    assert (gallery / name).read_bytes() == expected


@pytest.mark.parametrize("name", ["README.md", "v1.svg"])
def test_gallery_refuses_a_foreign_link_to_no_file(tmp_path: Path, name: str) -> None:
    gallery, absent = tmp_path / "gallery", tmp_path / "absent"
    gallery.mkdir()
    (gallery / name).symlink_to(absent)

    with pytest.raises(RenderError, match=f"not from an earlier gallery: {name}"):
        write_gallery(gallery, [V1])

    assert not absent.exists()


@pytest.mark.heavy
def test_the_module_writes_the_gallery(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lifecycle_adapters.render", str(tmp_path / "pictures")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONWARNINGS": "error"})

    assert (tmp_path / "pictures" / "README.md").is_file()


def named(name: str) -> Lifecycle[Any, Any]:
    return V1.replace(name=name, citation="<b>mine</b> [x](y)")


def test_gallery_contains_only_the_given_lifecycles(tmp_path: Path) -> None:
    write_gallery(tmp_path, [V1])

    paths = write_gallery(tmp_path, [named("mine"), named("k\u00fcche.2")])

    assert sorted(paths) == sorted(tmp_path.iterdir())
    assert {path.name.rpartition(".")[0] for path in paths} == {"README", "mine", "k\u00fcche.2"}
    assert "<b>" not in (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "y").touch()
    write_gallery(tmp_path, [V1])
    assert (tmp_path / "y").exists(), "what a citation says is no link of the index"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5,), "directory must be text or a Path"), ((b"x",), "directory must be text or a Path"),
        (("x", 5), "lifecycles must be several"), (("x", ["v1"]), "each of the lifecycles must be a Lifecycle"),
        (("x", V1), "lifecycles must be several"),
    ],
)  # fmt: skip
def test_write_gallery_refuses_wrong_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        write_gallery(*arguments)


@pytest.mark.parametrize(
    "names", [["../x"], ["a/b"], [".hidden"], ["a", "A"], ["a b"], ["run[acme/web]"], ["README"], ["a", "ReadMe"]]
)
def test_gallery_refuses_a_name_of_other_characters_or_of_another_file(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(RenderError, match="cannot name a picture: "):
        write_gallery(tmp_path / "new", map(named, names))

    assert list(tmp_path.iterdir()) == []
