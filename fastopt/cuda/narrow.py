"""Storages that are not computed with as they lie: the texts of `fastopt.storage` as LLVM instructions, on patterns of bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from fastopt.cuda.llvm import SINGLE, WORD, call
from fastopt.storage.bits import BitText, in_calls

__all__ = ["written_out"]


class _Pattern:
    """A pattern of 32 bits in the making of a kernel: what the texts' own comparisons become."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _compared(self, operator: str, other: _Pattern) -> Any:
        return self.builder.icmp_unsigned(operator, self.value, other.value)

    def __lt__(self, other: _Pattern) -> Any:
        return self._compared("<", other)

    def __le__(self, other: _Pattern) -> Any:
        return self._compared("<=", other)

    def __gt__(self, other: _Pattern) -> Any:
        return self._compared(">", other)

    def __ge__(self, other: _Pattern) -> Any:
        return self._compared(">=", other)

    def __eq__(self, other: object) -> Any:
        assert isinstance(other, _Pattern)
        return self._compared("==", other)

    def __ne__(self, other: object) -> Any:
        assert isinstance(other, _Pattern)
        return self._compared("!=", other)

    __hash__ = None  # type: ignore[assignment]  # what is compared to an instruction is no key


def written_out(text: BitText, builder: Any, *given: Any) -> Any:
    """The instructions of a text, for the patterns that are its parameters: each of its calls adds one."""

    def pattern(value: Any) -> _Pattern:
        return _Pattern(builder, value)

    def instruction(make: Callable[..., Any]) -> Callable[..., _Pattern]:
        return lambda *operands: pattern(make(*(operand.value for operand in operands)))

    def rounded(name: str) -> Callable[[Any, Any], Any]:
        def make(a: Any, b: Any) -> Any:
            operands = [builder.bitcast(value, SINGLE) for value in (a, b)]
            return builder.bitcast(call(builder, f"llvm.nvvm.{name}.rn.f", SINGLE, operands), WORD)

        return make

    names: dict[str, Any] = {
        **{name: pattern(bits) for name, bits in zip(text.parameters, given, strict=True)},
        "bits_constant": lambda value: pattern(ir.Constant(WORD, value)),
        "bits_add": instruction(builder.add),
        "bits_subtract": instruction(builder.sub),
        "bits_multiply": instruction(builder.mul),
        "bits_and": instruction(builder.and_),
        "bits_or": instruction(builder.or_),
        "bits_left": instruction(builder.shl),
        "bits_right": instruction(builder.lshr),
        "bits_select": lambda test, then, otherwise: pattern(builder.select(test, then.value, otherwise.value)),
        "bits_plus": instruction(rounded("add")),
        "bits_times": instruction(rounded("mul")),
        "bits_over": instruction(rounded("div")),
        "bits_converted": instruction(lambda n: builder.bitcast(builder.sitofp(n, SINGLE), WORD)),
        "bits_halved": instruction(lambda n: builder.ashr(n, ir.Constant(WORD, 1))),
        "bits_unknown": instruction(lambda bits: builder.zext(builder.fcmp_unordered("uno", *[builder.bitcast(bits, SINGLE)] * 2), WORD)),
    }
    exec("\n".join(text.spell(in_calls)), names)
    return names["result"].value
