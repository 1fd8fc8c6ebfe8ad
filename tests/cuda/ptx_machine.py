"""A machine that runs PTX on NumPy: the very text that a GPU would be given, instruction by instruction, all threads at once.

It knows the instructions that the kernels are made of, and stops at any other. Threads have program counters of their own; the
lowest one runs next, for all threads that are there, so threads that parted meet again behind a branch or a loop. Arithmetic is
NumPy's, which rounds each operation by itself as `.rn` asks for; an operation without `.rn` is refused, since a GPU's
assembler may contract it. Every access must be aligned, and lie within memory that was allocated. What the threads of a warp do with
each other is refused where some of them are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.cuda.heap import Heap
from tests.cuda.ptx_values import DTYPES, NARROW, WIDE, compared, computed, constant, converted, permuted, register_type, shifted, signed

__all__ = ["Program"]

Array = NDArray[Any]
WARP = 32

INSTRUCTION = re.compile(r"(?:@(!?)(%p\d+)\s+)?([a-z][\w.]*)\s*(.*);$")


@dataclass(frozen=True)
class Instruction:
    """One line: the predicate that guards it, the operation, and its operands as text."""

    negated: bool
    predicate: str | None
    operation: tuple[str, ...]
    operands: tuple[str, ...]


class Program:
    """A kernel of a PTX text."""

    def __init__(self, ptx: str) -> None:
        self.entry, header, body = re.findall(r"\.visible \.entry (\w+)\((.*?)\)\s*(?:\.maxntid[^\n]*)?\s*\{(.*)\}", ptx, re.DOTALL)[0]
        self.parameters = [(name, kind) for kind, name in re.findall(r"\.param \.(\w+) (\w+)", header)]
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}
        for line in (line.split("//")[0].strip() for line in body.splitlines()):
            if not line or line.startswith("."):
                continue
            if line.endswith(":"):
                self.labels[line[:-1]] = len(self.instructions)
                continue
            found = INSTRUCTION.match(line)
            if found is None:
                raise ValueError(f"not an instruction: {line}")
            operands = tuple(part.strip() for part in re.split(r",\s*(?![^{]*\})", found[4])) if found[4] else ()
            self.instructions.append(Instruction(bool(found[1]), found[2], tuple(found[3].split(".")), operands))
        leaders = {*self.labels.values(), len(self.instructions)}
        leaders |= {place + 1 for place, instruction in enumerate(self.instructions) if instruction.operation[0] in ("bra", "ret")}
        self.together = {start: range(start, end) for start, end in pairwise(sorted({0, *leaders}))}
        """Instructions between which threads neither part nor meet, by the first of them."""

    def run(self, heap: Heap, blocks: int, threads: int, arguments: Sequence[int | float]) -> None:
        """A launch of `blocks` blocks of `threads` threads."""
        if len(arguments) != len(self.parameters):
            raise ValueError(f"expected {len(self.parameters)} arguments, received {len(arguments)}")
        with np.errstate(all="ignore"):
            _Launch(self, heap, blocks, threads, arguments).run()


class _Launch:
    def __init__(self, program: Program, heap: Heap, blocks: int, threads: int, arguments: Sequence[int | float]) -> None:
        self.program, self.heap, self.count = program, heap, blocks * threads
        self.threads = threads
        self.parameters = {name: np.array(value, DTYPES[kind]) for (name, kind), value in zip(program.parameters, arguments, strict=True)}
        index = np.arange(self.count, dtype=np.uint32)
        self.registers: dict[str, Array] = {
            "%tid.x": index % threads,
            "%ctaid.x": index // threads,
            "%ntid.x": np.full(self.count, threads, np.uint32),
            "%nctaid.x": np.full(self.count, blocks, np.uint32),
        }
        self.counter = np.zeros(self.count, np.int64)

    def run(self) -> None:
        instructions, done = self.program.instructions, len(self.program.instructions)
        while True:
            at = int(self.counter.min(initial=done))
            if at >= done:
                return
            here: Any = np.flatnonzero(self.counter == at)
            if len(here) == self.count:
                here = slice(None)
            places = self.program.together[at]
            self.counter[here] = places.stop
            for place in places:
                instruction, self.active = instructions[place], here
                if instruction.predicate is not None:
                    holds = self.registers[instruction.predicate] ^ instruction.negated
                    self.active = np.arange(self.count)[here][holds[here]]
                self.execute(instruction.operation, instruction.operands)

    def execute(self, operation: tuple[str, ...], operands: tuple[str, ...]) -> None:
        name, kind = operation[0], operation[-1]
        if name == "bra":
            self.counter[self.active] = self.program.labels[operands[0]]
        elif name == "ret":
            self.counter[self.active] = len(self.program.instructions)
        elif name == "ld" and operation[1] == "param":
            self.write(operands[0], self.parameters[operands[1].strip("[]")])
        elif name in ("ld", "st"):
            self.access(name, operation[1:], operands)
        elif operation == ("shfl", "sync", "bfly", "b32"):
            self.exchange(operands)
        elif operation == ("bar", "warp", "sync"):
            self.of_whole_warps(operands[0])
        elif name == "setp":
            a, b = (signed(self.read(o, kind), kind) for o in operands[1:])
            self.write(operands[0], np.asarray(compared(operation[1], a, b)))
        elif name == "selp":
            then, otherwise, test = (self.read(o, k) for o, k in zip(operands[1:], (kind, kind, "pred"), strict=True))
            self.write(operands[0], np.where(test, then, otherwise))
        elif name == "mov" and kind in ("b32", "b64"):  # from one kind of register to another of its size
            (source,) = operands[1:]
            values = self.registers[source][self.active] if source.startswith("%") else self.read(source, kind)
            self.write(operands[0], values.view(register_type(operands[0])))
        elif name in ("shl", "shr"):
            self.write(operands[0], shifted(name, kind, self.read(operands[1], kind), self.read(operands[2], "u32")))
        elif name == "bfi":  # bits of one value put into another, from a place on
            into, width = (int(operand) for operand in operands[3:])
            unsigned = {"b32": np.uint32, "b64": np.uint64}[kind]
            field = np.array(((1 << width) - 1 << into) % (1 << 8 * np.dtype(unsigned).itemsize), unsigned)
            source, rest = (self.read(o, kind).view(unsigned) for o in operands[1:3])
            self.write(operands[0], np.asarray((rest & ~field) | (source << unsigned(into) & field)).view(DTYPES[kind]))
        elif name == "prmt":  # bytes of two values, chosen by the four digits of a third
            self.write(operands[0], permuted(*(self.read(o, kind) for o in operands[1:])))
        elif name == "cvt" and kind in NARROW:  # of the lowest bits of a register
            (source,) = operands[1:]
            self.write(operands[0], converted(operation[1:], self.registers[source][self.active].astype(DTYPES[kind])))
        else:
            self.write(operands[0], computed(name, operation[1:], [self.read(o, kind) for o in operands[1:]]))

    def of_whole_warps(self, mask: str) -> Array:
        """The threads that are here; they have to be all of their warps."""
        here = np.arange(self.count)[self.active]
        warps = here // self.threads * self.threads + here % self.threads // WARP * WARP
        if mask != "-1" or self.threads % WARP or (np.unique(warps, return_counts=True)[1] != WARP).any():
            raise RuntimeError(f"threads of a warp that others wait for are not here (mask {mask})")
        return here

    def exchange(self, operands: tuple[str, ...]) -> None:
        """Each thread gets what the one has whose number in the warp is another in some bits."""
        result, source, apart, bound, mask = operands
        here = self.of_whole_warps(mask)
        if bound != "31" or not 0 < int(apart) < WARP:
            raise NotImplementedError(f"shfl.sync.bfly of lanes {apart} apart, within {bound}")
        shown = self.registers[source].copy()
        self.write(result.partition("|")[0], shown[here ^ int(apart)])

    def access(self, name: str, modifiers: tuple[str, ...], operands: tuple[str, ...]) -> None:
        space, *vector, kind = modifiers
        if space != "global":
            raise NotImplementedError(f"{name}.{'.'.join(modifiers)}")
        place, registers = (operands[1], operands[0]) if name == "ld" else (operands[0], operands[1])
        names = [r.strip() for r in registers.strip("{}").split(",")]
        if len(names) != (int(vector[0][1:]) if vector else 1):
            raise ValueError(f"{name}.{'.'.join(modifiers)} of {len(names)} registers")
        found = re.fullmatch(r"\[(%rd\d+)(?:\+(-?\d+))?\]", place)
        assert found is not None
        addresses = self.registers[found[1]][self.active] + int(found[2] or 0)
        size = np.dtype(DTYPES[kind]).itemsize
        self.heap.check(addresses, size * len(names))
        cells, first = self.heap.cells(DTYPES[kind]), (addresses - self.heap.base) // size
        for lane, register in enumerate(names):
            # a register may be wider than what is loaded into it, or stored out of it
            own = register_type(register) if register.startswith("%") and kind in NARROW else DTYPES[kind]
            if name == "ld":
                self.write(register, signed(cells[first + lane], kind).astype(own))
            else:
                cells[first + lane] = self.read(register, WIDE.get(own, kind)).astype(DTYPES[kind])

    def read(self, text: str, kind: str) -> Array:
        dtype = DTYPES[kind]
        if text.startswith("%"):
            found = self.registers[text][self.active]
            if found.dtype != dtype:
                raise TypeError(f"{text}: read as {kind}")
            return found
        return constant(text, dtype)

    def write(self, register: str, values: Array) -> None:
        dtype = register_type(register)
        if values.dtype != dtype:
            raise TypeError(f"{register}: {values.dtype} where {np.dtype(dtype)} belongs")
        if register not in self.registers:
            self.registers[register] = np.zeros(self.count, dtype)
        self.registers[register][self.active] = values
