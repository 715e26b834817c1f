"""Reading of OpenAPI documents: JSON or YAML, from a file or a URL, within limits of time and memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lifecycle.documents import require_yaml
from lifecycle_adapters.argument_checks import path_text, require_boolean, require_number
from lifecycle_adapters.connection_strings import may_contain_password
from lifecycle_adapters.drift.document import OpenApiDocument
from lifecycle_adapters.drift.drift_errors import UnusableDocument
from lifecycle_adapters.http.responses import DuplicateKey, parsed

LIMIT_BYTES = 16 * 1024 * 1024
"""The most bytes of a document. Its values take about twenty times as much memory."""
YAML_LIMIT_BYTES = 4 * 1024 * 1024
YAML_LIMIT_PARTS = 400_000
YAML_DEEPEST = 200
"""The most bytes of YAML, and the most parts in it, with aliases expanded. YAML is parsed fifty times as slowly."""
TIMEOUT_S = 30.0
"""The longest time in seconds for fetching a URL."""


def load(source: str | Path, *, allow_private: bool = False, timeout_s: float = TIMEOUT_S) -> OpenApiDocument:
    """Read a document.

    Args:
        source: the path of a file, or a URL that begins with http:// or https://.
        allow_private: whether the URL may lead to an address of this machine or of a private network.
        timeout_s: the longest time in seconds for fetching a URL.
    Raises:
        UnusableDocument: it cannot be fetched, is larger than the limits, is neither JSON nor YAML, or is not an
            OpenAPI document of version 3.0 or 3.1.
        OSError: the file cannot be read.
        MissingExtra: it is YAML, and the extra `yaml` is not installed.
        TypeError: `source` is neither text nor a Path, or another argument has a wrong type.
        ValueError: `timeout_s` is not positive.
    """
    text = path_text(source, "source")
    require_boolean(allow_private, "allow_private")
    require_number(timeout_s, "timeout_s", more_than=0)
    if re.match("https?://", text, re.IGNORECASE):
        from lifecycle_adapters.drift.fetching import fetched

        text, content = fetched(text, allow_private=allow_private, timeout_s=timeout_s, limit_bytes=LIMIT_BYTES)
    elif may_contain_password(text):
        raise UnusableDocument("a document is a file, or a URL that begins with http:// or https://")
    else:
        with Path(source).open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    return OpenApiDocument(contents_of(content, source=text), source=text)


def contents_of(content: bytes, *, source: str) -> Any:
    """Return the value of a text in JSON or YAML; `source` is for messages. Raises UnusableDocument, MissingExtra."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if len(content) > LIMIT_BYTES:
        raise UnusableDocument(f"{source}: has more than {LIMIT_BYTES // 1024**2} MB; cut it down to what is compared")
    if start.startswith(b"<"):
        raise UnusableDocument(f"{source}: is HTML or XML, not JSON or YAML; is this the address of a page about it?")
    language, read = ("JSON", parsed) if start.startswith((b"{", b"[")) else ("YAML", _read_yaml)
    try:
        return read(content)
    except DuplicateKey as error:
        problem = f"the key {error.key[:80]!r} occurs twice in one object"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:
        problem = str(error)[:300]
    raise UnusableDocument(f"{source}: cannot be read as {language}: {problem}")


def _read_yaml(content: bytes) -> Any:
    """Return the value of YAML, with all keys as text, and with the few non-text words of YAML 1.2.

    Raises:
        ValueError: it is not YAML, or exceeds the limits with its aliases expanded.
    """
    if len(content) > YAML_LIMIT_BYTES:
        raise ValueError(f"it has more than {YAML_LIMIT_BYTES // 1024**2} MB; give it as JSON")
    yaml = require_yaml()
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the former reads twenty times as fast

    class DocumentLoader(base):  # type: ignore[misc]
        """A loader that reads words such as `no` and `2026-01-01` as text."""

        yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's name)
            first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("bool", "timestamp")]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

    DocumentLoader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF")
    )
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # a byte order mark
    text = content.decode("utf-16" if is_wide else "utf-8-sig")
    try:
        _require_small(yaml, text, base)
        loader = DocumentLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                raise ValueError("it is empty")
            _require_plain(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _require_small(yaml: Any, text: str, loader: Any) -> None:
    """Raise ValueError if YAML has too many parts or is nested too deeply, which would crash libyaml's composer."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=loader)):
        if number > YAML_LIMIT_PARTS:
            raise ValueError(f"it has more than {YAML_LIMIT_PARTS:,} parts; give it as JSON")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > YAML_DEEPEST:
            raise ValueError(f"it is nested more than {YAML_DEEPEST} deep")


def _require_plain(root: Any) -> None:
    """Make all keys text. Raises ValueError for aliases that contain themselves or expand too far, and for bad keys.

    A bad key is not text, or occurs twice. Parts are counted before they are constructed: `<<` copies an alias.
    """
    sizes: dict[int, int | None] = {}  # of each part with all that it contains; None while that is counted
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        node, is_counted = waiting.pop()
        inner = _parts_of(node)
        if is_counted:
            size = 1 + sum(sizes[id(each)] or 0 for each in inner)
            if size > YAML_LIMIT_PARTS:
                raise ValueError(f"its aliases repeat more than {YAML_LIMIT_PARTS:,} parts")
            sizes[id(node)] = size
        elif id(node) not in sizes:
            sizes[id(node)] = None
            waiting.append((node, True))
            waiting += [(each, False) for each in inner]
        elif sizes[id(node)] is None:
            raise ValueError("an alias in it refers to a part that contains it")


def _parts_of(node: Any) -> list[Any]:
    if node.id == "sequence":
        return list(node.value)
    if node.id != "mapping":
        return []
    seen: set[str] = set()
    for key, _ in node.value:
        if key.id != "scalar":
            raise ValueError(f"line {key.start_mark.line + 1}: a key must be text")
        if not key.tag.endswith(":merge"):
            key.tag = "tag:yaml.org,2002:str"
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: the key {key.value[:80]!r} occurs twice")
            seen.add(key.value)
    return [value for _, value in node.value]
