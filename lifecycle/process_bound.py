"""The base of objects that belong to the process that made them: copying or pickling one raises an error.

A client, a handle or a journal has locks, connections and claims, which a copy would share without knowing it. Objects
that can be copied (errors, lifecycles, effects) do not belong here.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn


class ProcessBound:
    """An object that can be neither copied nor pickled; `_instead` is the alternative, for the message."""

    __slots__ = ()

    _instead: ClassVar[str]

    def __reduce__(self) -> NoReturn:
        """Raise TypeError: `copy`, `deepcopy` and `pickle` all call this."""
        name = type(self).__name__
        raise TypeError(f"{name} can be neither copied nor pickled: it belongs to its process; {self._instead}")
