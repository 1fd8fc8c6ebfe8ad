# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The addresses of a step's gradients on a device, gathered and checked in compiled code: PyTorch's tensors in 80 ns each.

Tensors are read through the C functions that a framework's array type offers for that (`__dlpack_c_exchange_api__`, DLPack 1.3).
Like `fastopt.host._gather`, this answers whether all is as it should be, and leaves it to Python to find out what is not.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cdef class Gatherer:
    """`Gatherer(params, kind, code, bits, device_type, device_id)(gradients) -> list of addresses, or None`.

    `params` are arrays of `kind` or of classes derived from it, which have its C functions; gradients are of `kind` itself, or None. `code`
    and `bits` are DLPack's words for the type of their elements, which need not be that of the parameters. Raises ValueError if `kind` has no
    such functions, of a version known here.
    """

    def __init__(self, list params, object kind, int code, int bits, int device_type, int device_id):
        cdef Py_ssize_t i, j, total = 0
        cdef int64_t stride
        cdef fastopt_dl_exchange* exchange
        cdef fastopt_dl_tensor tensor
        if self.at != NULL:
            raise RuntimeError("Gatherer: __init__ runs once")
        self.api = getattr(kind, "__dlpack_c_exchange_api__", None)
        if self.api is None:
            raise ValueError(f"{kind.__name__} has no C functions for DLPack")
        exchange = <fastopt_dl_exchange*> PyCapsule_GetPointer(self.api, "dlpack_exchange_api")
        if exchange.major != 1 or exchange.tensor_of == NULL:
            raise ValueError(f"{kind.__name__}: its C functions for DLPack are of version {exchange.major}, or incomplete")
        self.tensor_of = <fastopt_tensor_of> exchange.tensor_of
        self.params, self.kind, self.count = list(params), kind, len(params)
        self.device.device_type, self.device.device_id = device_type, device_id
        self.gradient.code, self.gradient.bits, self.gradient.lanes = code, bits, 1
        for p in self.params:
            if not isinstance(p, kind) or getattr(type(p), "__dlpack_c_exchange_api__", None) is not self.api:
                raise ValueError(f"expected parameters of {kind.__name__}, received {type(p).__name__}")
            total += p.ndim
        self.at = <int64_t*> malloc((self.count + 1) * sizeof(int64_t))
        self.first_dimension = <Py_ssize_t*> malloc((self.count + 1) * sizeof(Py_ssize_t))
        self.dimensions = <int64_t*> malloc((total + 1) * sizeof(int64_t))
        self.strides = <int64_t*> malloc((total + 1) * sizeof(int64_t))
        if self.at == NULL or self.first_dimension == NULL or self.dimensions == NULL or self.strides == NULL:
            raise MemoryError("Gatherer: no memory for the shapes of the parameters")
        total = 0
        for i in range(self.count):
            p = self.params[i]
            self.tensor_of(<void*> p, &tensor)
            self.at[i] = <int64_t> tensor.data + <int64_t> tensor.byte_offset
            self.first_dimension[i] = total
            self.parameter = tensor.dtype
            stride = 1
            for j in range(tensor.ndim - 1, -1, -1):
                self.dimensions[total + j] = tensor.shape[j]
                self.strides[total + j] = stride if tensor.strides == NULL else tensor.strides[j]
                stride *= tensor.shape[j]
            total += tensor.ndim
        self.first_dimension[self.count] = total

    def __dealloc__(self):
        free(self.at)
        free(self.first_dimension)
        free(self.dimensions)
        free(self.strides)

    cdef bint usable(self, fastopt_dl_tensor* tensor, Py_ssize_t i, fastopt_dl_dtype* dtype) noexcept:
        """Of the right device, dtype, shape and layout."""
        cdef Py_ssize_t j, dimensions = self.first_dimension[i + 1] - self.first_dimension[i]
        cdef int64_t* shape = self.dimensions + self.first_dimension[i]
        cdef int64_t* strides = self.strides + self.first_dimension[i]
        cdef int64_t stride = 1
        if tensor.device.device_type != self.device.device_type or tensor.device.device_id != self.device.device_id:
            return False
        if tensor.dtype.code != dtype.code or tensor.dtype.bits != dtype.bits or tensor.dtype.lanes != 1:
            return False
        if tensor.ndim != dimensions:
            return False
        for j in range(dimensions - 1, -1, -1):
            if tensor.shape[j] != shape[j]:
                return False
            if shape[j] > 1 and (stride if tensor.strides == NULL else tensor.strides[j]) != strides[j]:
                return False  # also where the array is empty, and it would not matter: Python looks closer then
            stride *= shape[j]
        return True

    def __call__(self, object gradients):
        """Where the gradients lie, None for one that is None; or None if any of them, or a parameter, is not as it should be."""
        cdef Py_ssize_t i
        cdef fastopt_dl_tensor tensor
        cdef list found
        if len(gradients) != self.count:
            return None
        found = [None] * self.count
        try:
            for i in range(self.count):
                p = self.params[i]
                self.tensor_of(<void*> p, &tensor)
                if <int64_t> tensor.data + <int64_t> tensor.byte_offset != self.at[i] or not self.usable(&tensor, i, &self.parameter):
                    return None
                g = gradients[i]
                if g is None:
                    continue
                if type(g) is not self.kind:
                    return None
                self.tensor_of(<void*> g, &tensor)
                if not self.usable(&tensor, i, &self.gradient):
                    return None
                found[i] = <int64_t> tensor.data + <int64_t> tensor.byte_offset
        except Exception:  # what cannot be read so (a sparse tensor, say) is looked at in Python
            return None
        return found
