"""Storages as C: a type of the elements, and functions that load and store one, for the modules of `fastopt.backends.cython_source`."""

from __future__ import annotations

from fastopt.storage import STORAGES, Storage
from fastopt.storage.bits import BitText, in_c, parse

__all__ = ["REAL", "declaration", "source", "squares"]

REAL = {"float32": "float", "float64": "double"}
"""NumPy's names of the compute dtypes, and C's."""

STORAGE = """\
    typedef {element} element_{name};
    typedef {element}* FASTOPT_RESTRICT stream_{name};
    static inline {real} load_{name}({element} fastopt_element) {{ {load} }}
    static inline {element} store_{name}({real} fastopt_number) {{ {store} }}"""

SQUARES = """\
    static inline double squares_{name}(const {element}* g, Py_ssize_t length) {{
        double lanes[16];
        if (length == 256) {{ /* known here, so that the lanes stay in registers from the beginning to the end */
            for (int k = 0; k < 16; k++) {{ const double x = load_{name}(g[k]); lanes[k] = x * x; }}
            for (int i = 16; i < 256; i += 16)
                for (int k = 0; k < 16; k++) {{ const double x = load_{name}(g[i + k]); lanes[k] += x * x; }}
        }} else {{
            Py_ssize_t i = 0;
            for (int k = 0; k < 16; k++) lanes[k] = 0.0;
            for (; i + 16 <= length; i += 16)
                for (int k = 0; k < 16; k++) {{ const double x = load_{name}(g[i + k]); lanes[k] += x * x; }}
            for (int k = 0; k < length - i; k++) {{ const double x = load_{name}(g[i + k]); lanes[k] += x * x; }}
        }}
        for (int k = 0; k < 8; k++) lanes[k] += lanes[k + 8];
        for (int k = 0; k < 4; k++) lanes[k] += lanes[k + 4];
        for (int k = 0; k < 2; k++) lanes[k] += lanes[k + 2];
        return lanes[0] + lanes[1];
    }}"""

DECLARATION = """\
    ctypedef {ctype} element_{name}
    ctypedef {ctype}* stream_{name}
    {real} load_{name}(element_{name}) noexcept nogil
    element_{name} store_{name}({real}) noexcept nogil
    double squares_{name}(const element_{name}*, Py_ssize_t) noexcept nogil"""

STATE_STORAGE = """\
    typedef {element} element_{name};
    typedef {element}* FASTOPT_RESTRICT stream_{name};
    static inline float load_{name}({load_parameters}) {{ {load} }}
    static inline {element} store_{name}({store_parameters}) {{ {store} }}"""

BLOCK_STORAGE = """
    static inline float scale_{name}(uint32_t fastopt_largest) {{ {scale} }}
    static inline uint32_t inverse_{name}(uint32_t fastopt_largest) {{ {inverse} }}
    static inline void codes_{name}(const float* FASTOPT_RESTRICT numbers, uint32_t inverse, uint32_t start,
                                    const uint32_t* FASTOPT_RESTRICT noise, {element}* FASTOPT_RESTRICT to) {{
        for (int i = 0; i < 256; i++) to[i] = store_{name}(numbers[i], inverse, start + noise[i]);
    }}"""

SPLIT_STORAGE = """
    typedef {beside}* FASTOPT_RESTRICT corrections_{name};
    static inline {beside} rest_{name}({store_parameters}) {{ {rest} }}"""

STATE_DECLARATION = """\
    ctypedef {ctype} element_{name}
    ctypedef {ctype}* stream_{name}
    float load_{name}({load_types}) noexcept nogil
    element_{name} store_{name}({store_types}) noexcept nogil"""

BLOCK_DECLARATION = """
    float scale_{name}(uint32_t) noexcept nogil
    uint32_t inverse_{name}(uint32_t) noexcept nogil
    void codes_{name}(const float*, uint32_t, uint32_t, const uint32_t*, element_{name}*) noexcept nogil"""

SPLIT_DECLARATION = """
    ctypedef {ctype}* corrections_{name}
    {ctype} rest_{name}({store_types}) noexcept nogil"""

CTYPES = {
    "float": "float",
    "double": "double",
    "uint16_t": "unsigned short",
    "int16_t": "short",
    "uint8_t": "unsigned char",
    "int8_t": "signed char",
}
"""Elements in memory, as Cython calls their types."""


def _element(storage: Storage) -> str:
    if storage.texts is None:
        return REAL[storage.name]
    return f"{storage.dtype.name}_t" if storage.code else f"uint{8 * storage.itemsize}_t"


def _written(text: BitText, values: dict[str, str], result: str) -> str:
    """A text as statements of C, of parameters that have these values, and what is returned of its result."""
    lines = [f"const uint32_t {name} = {value};" for name, value in values.items()]
    return " ".join([*lines, *(f"const uint32_t {line};" for line in text.spell(in_c)), f"return {result};"])


def source(storage: Storage) -> str:
    """C: the element's type, a restricted pointer to some, and the functions that load and store one, the ends of a block, a correction."""
    element, real = _element(storage), REAL[storage.compute]
    if storage.texts is None:
        load, store = "return fastopt_element;", "return fastopt_number;"
        return STORAGE.format(name=storage.name, element=element, real=real, load=load, store=store)
    loading, storing = storage.texts
    given = {"bits": "fastopt_element", "scale": "bits_of(fastopt_scale)", "correction": "(uint32_t)fastopt_correction"}
    load = _written(loading, {name: given[name] for name in loading.parameters}, "bits_float(result)")
    given = {"bits": "bits_of(fastopt_number)", **{name: f"fastopt_{name}" for name in ("inverse", "noise")}}
    store = _written(storing, {name: given[name] for name in storing.parameters}, f"({element})result")
    if storage.name in STORAGES:
        return STORAGE.format(name=storage.name, element=element, real=real, load=load, store=store)
    beside = f"{storage.split.dtype}_t" if storage.split else ""
    load_parameters = f"{element} fastopt_element" + ", float fastopt_scale" * bool(storage.code)
    load_parameters += f", {beside} fastopt_correction" * bool(beside)
    store_parameters = ", ".join(["float fastopt_number", *(f"uint32_t fastopt_{name}" for name in storing.parameters[1:])])
    found = STATE_STORAGE.format(
        name=storage.name, element=element, load=load, store=store, load_parameters=load_parameters, store_parameters=store_parameters
    )
    if storage.split is not None:
        text = parse(storage.split.rest)
        rest = _written(text, {name: given[name] for name in text.parameters}, f"({beside})result")
        return found + SPLIT_STORAGE.format(name=storage.name, beside=beside, store_parameters=store_parameters, rest=rest)
    if storage.code is None:
        return found
    ends = {"scale": "bits_float(result)", "inverse": "result"}
    texts = {part: parse(getattr(storage.code, part)) for part in ends}
    bodies = {part: _written(text, {text.parameters[0]: "fastopt_largest"}, ends[part]) for part, text in texts.items()}
    return found + BLOCK_STORAGE.format(name=storage.name, element=element, **bodies)


def declaration(storage: Storage) -> str:
    """The same, as Cython is told of it."""
    ctype = CTYPES[_element(storage)]
    if storage.name in STORAGES:
        return DECLARATION.format(name=storage.name, ctype=ctype, real=REAL[storage.compute])
    assert storage.texts is not None
    beside = CTYPES[f"{storage.split.dtype}_t"] if storage.split else ""
    load_types = f"element_{storage.name}" + ", float" * bool(storage.code) + f", {beside}" * bool(beside)
    store_types = "float" + ", uint32_t" * (len(storage.texts[1].parameters) - 1)
    found = STATE_DECLARATION.format(name=storage.name, ctype=ctype, load_types=load_types, store_types=store_types)
    if beside:
        found += SPLIT_DECLARATION.format(name=storage.name, ctype=beside, store_types=store_types)
    return found + BLOCK_DECLARATION.format(name=storage.name) if storage.code else found


def squares(storage: Storage) -> str:
    """C: the sum of the squares of a block of gradients, in the order of `fastopt.global_norm.block_sums`."""
    return SQUARES.format(name=storage.name, element=_element(storage))
