"""Liveness analysis: the values that a suspended function can still read; no other value can affect its next steps.

For local variables this is a backward data-flow analysis over the bytecode, as in any compiler. In doubt a variable is
live, which costs states but loses no finding.
"""

from __future__ import annotations

import dis
from functools import cache
from types import CodeType
from typing import Any, cast

_ENDS = frozenset({"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"})
_ALWAYS_JUMPS = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"})


def live_locals(code: CodeType, place: int) -> frozenset[str]:
    """Return the names of the variables that can be read after the instruction at offset `place` (`f_lasti`)."""
    return _live_after(code).get(place, frozenset(code.co_varnames))


@cache
def overwritten_attribute(code: CodeType, place: int) -> tuple[str, str] | None:
    """Return the variable and the attribute of it that are written first after `place`, before anything is called.

    An example is `self.record = yield Load()`. Return None in doubt.
    """
    instructions = [each for each in dis.get_instructions(code) if each.offset > place]
    owner: str | None = None  # the variable read last
    for each in instructions:
        match each.opname:
            case "RESUME" | "NOP" | "CACHE" | "COPY" | "STORE_FAST":
                owner = None
            case "LOAD_FAST":
                owner = each.argval
            case "LOAD_ATTR" if owner not in (None, "self"):
                owner = None
            case "STORE_ATTR" if owner is not None:
                return owner, each.argval
            case _:
                return None
    return None


@cache
def _live_after(code: CodeType) -> dict[int, frozenset[str]]:
    instructions = list(dis.get_instructions(code))
    offsets = [each.offset for each in instructions]
    bytecode: Any = dis.Bytecode(code)  # whose attribute typeshed does not know
    handlers: list[tuple[int, int, int]] = [(e.start, e.end, e.target) for e in bytecode.exception_entries]
    always = frozenset((*code.co_cellvars, *code.co_freevars))
    reads = [_reads(each) for each in instructions]
    writes = [_writes(each) for each in instructions]
    index = {offset: n for n, offset in enumerate(offsets)}
    following: list[list[int]] = []
    for n, each in enumerate(instructions):
        onward: list[int] = []
        if each.opname not in _ENDS | _ALWAYS_JUMPS and n + 1 < len(instructions):
            onward.append(n + 1)
        if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            onward.append(index[each.argval])
        onward += [index[target] for start, end, target in handlers if start <= each.offset < end]
        following.append(onward)
    before = [frozenset[str]()] * len(instructions)
    after = [always] * len(instructions)
    changes = True
    while changes:
        changes = False
        for n in range(len(instructions) - 1, -1, -1):
            after[n] = always.union(*(before[to] for to in following[n]))
            now = reads[n] | (after[n] - writes[n])
            changes |= now != before[n]
            before[n] = now
    # A generator is resumed after its YIELD_VALUE (or, in a `yield from`, between SEND and the jump back to it).
    return dict(zip(offsets, after, strict=True))


def _reads(instruction: dis.Instruction) -> frozenset[str]:
    name = instruction.opname
    if "LOAD_FAST" not in name and name != "DELETE_FAST":
        return frozenset()
    if name == "STORE_FAST_LOAD_FAST":
        return frozenset({instruction.argval[1]})
    return _names(instruction)


def _writes(instruction: dis.Instruction) -> frozenset[str]:
    name = instruction.opname
    if name == "STORE_FAST_LOAD_FAST":
        return frozenset({instruction.argval[0]})
    return _names(instruction) if name in ("STORE_FAST", "STORE_FAST_STORE_FAST", "DELETE_FAST") else frozenset()


def _names(instruction: dis.Instruction) -> frozenset[str]:
    value: Any = instruction.argval
    return frozenset(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else frozenset({str(value)})
