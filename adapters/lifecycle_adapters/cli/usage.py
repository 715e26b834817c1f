"""Messages about a command line that cannot be parsed, with the value or option that was probably meant."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from lifecycle.errors import nearest
from lifecycle_adapters.connection_strings import without_passwords


class Command(TyperCommand):
    """A command whose usage errors propose what was probably meant, and name no library."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        parameters: list[Any] = self.params
        for each in parameters:  # a validator in the annotation would hide Typer's ranges
            each.process_value = partial(_processed, each, each.process_value)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raises typer.TyperException, as Typer does, with a better message without passwords."""
        try:
            return self._parsed(ctx, args)
        except typer.TyperException as error:
            error.message = without_passwords(error.message)
            raise

    def _parsed(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # Pydantic's words, not ours
            given, _, problem = error.message.partition(" is not one of ")
            choices = self._choices(error.param)
            if problem and (meant := nearest(given.strip("'"), choices)) is not None:
                error.message = f"{error.message.removesuffix('.')}; did you mean {meant!r}?"
            raise
        except typer.TyperException as error:
            if (option := getattr(error, "option_name", None)) is not None:  # an option that this command lacks
                named = sorted(_options_with_words(option, self.params))
                if named:
                    error.possibilities = named  # type: ignore[attr-defined]
            raise

    def _choices(self, parameter: Any) -> tuple[str, ...]:
        """Return the values that a parameter can have, none if it can have any."""
        if self.callback is None or parameter is None:
            return ()
        return tuple(_literals(inspect.signature(self.callback, eval_str=True).parameters[parameter.name].annotation))


def _processed(parameter: Any, process: Callable[[Any, Any], Any], ctx: Any, given: Any) -> Any:
    """Return the value of a parameter. Raises typer.BadParameter for a number that Pydantic would read, such as 1_0."""
    annotation = parameter.type_descriptor.annotation
    is_number = not {int, float}.isdisjoint((annotation, *get_args(annotation)))
    if is_number and isinstance(given, str) and ("_" in given or given != given.strip()):
        raise typer.BadParameter(f"{given!r} is not a number; write it like 10 or 0.5", ctx=ctx, param=parameter)
    return process(ctx, given)


def _literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
        return
    for each in get_args(annotation):
        yield from _literals(each)


def _options_with_words(option: str, parameters: Iterable[Any]) -> Iterator[str]:
    """Yield the options that have all words of this one: `--idempotency-key` for `--key`.

    Typer compares letters, and finds `--worker` nearer to `--key`.
    """
    words = set(_words(option))
    for parameter in parameters:
        yield from (each for each in parameter.opts if each.startswith("--") and words <= set(_words(each)))


def _words(option: str) -> list[str]:
    return re.findall(r"[^-_]+", option.casefold())
