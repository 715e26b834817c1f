"""The parameters of a binding: the texts in its paths that are the same for all requests of a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lifecycle.scope import scoped
from lifecycle_adapters.argument_checks import WrongValue, require
from lifecycle_adapters.http.call import Call
from lifecycle_adapters.http.requests import filled_text, parameters_of, quoted_id

if TYPE_CHECKING:
    from lifecycle.table import E, S
    from lifecycle_adapters.http.binding import HttpBinding


def with_parameters(binding: HttpBinding[S, E], given: Mapping[str, str]) -> HttpBinding[S, E]:
    """Return a binding with these texts in its paths, as `HttpBinding.with_parameters` says."""
    require(given, Mapping, "parameters must be a mapping, such as {'owner': 'acme'}")
    for name, value in given.items():
        require(value, str, f"the parameter {name!r} must be text")
    names = all_parameters(binding)
    wrong = [f"{name!r} is missing" for name in names if name not in given]
    wrong += [f"{name!r} is unknown" for name in given if name not in names]
    wrong += [f"no path can carry {given[name]!r:.80} as {name!r}" for name in names if _unfit(given.get(name))]
    if wrong:
        known = f"its parameters are {', '.join(map(repr, names))}" if names else "the service has no parameters"
        raise WrongValue(f"{binding.name}: {'; '.join(wrong)}; {known}", "parameters")
    return _filled(binding, given)


def _unfit(value: str | None) -> bool:
    return value is not None and quoted_id(value) is None


def all_parameters(binding: HttpBinding[Any, Any]) -> tuple[str, ...]:
    """Return the names of the parameters of a binding, of its session and of its proofs."""
    inner = [proof.binding for proof in binding.proofs.values()]
    bindings: list[HttpBinding[Any, Any]] = [*inner, *([] if binding.session is None else [binding.session])]
    more = [name for each in bindings for name in all_parameters(each)]
    return tuple(dict.fromkeys([*binding.parameters, *more]))


def _filled(binding: HttpBinding[S, E], given: Mapping[str, str]) -> HttpBinding[S, E]:
    if not all_parameters(binding):
        return binding
    values = {f"{{{name}}}": str(quoted_id(given[name])) for name in binding.parameters}
    scope = (*binding.scope, *(given[name] for name in binding.parameters))

    def fill(call: Call) -> Call:
        return replace(call, path=filled_text(call.path, values)) if parameters_of(call.path) else call

    proofs = {name: replace(proof, binding=_filled(proof.binding, given)) for name, proof in binding.proofs.items()}
    return replace(
        binding,
        lifecycle=scoped(binding.lifecycle, scope) if scope else binding.lifecycle,
        scope=scope,
        base_path=filled_text(binding.base_path, values),
        create=fill(binding.create),
        status=fill(binding.status),
        details=fill(binding.details),
        listing=None if binding.listing is None else replace(binding.listing, call=fill(binding.listing.call)),
        events=None if binding.events is None else replace(binding.events, call=fill(binding.events.call)),
        stream=None if binding.stream is None else replace(binding.stream, call=fill(binding.stream.call)),
        further_calls={name: fill(call) for name, call in binding.further_calls.items()},
        commands={name: fill(call) for name, call in binding.commands.items()},
        handshake=None
        if binding.handshake is None
        else replace(
            binding.handshake,
            begin=fill(binding.handshake.begin),
            confirm=None if binding.handshake.confirm is None else fill(binding.handshake.confirm),
        ),
        proofs=proofs,
        session=None if binding.session is None else _filled(binding.session, given),
        parameters=(),
    )
