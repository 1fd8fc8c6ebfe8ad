# cython: language_level=3
"""What other compiled modules may use of the gatherer, and what it reads of DLPack."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    /* https://github.com/dmlc/dlpack/blob/main/include/dlpack/dlpack.h, version 1.3: what is read of it */
    #include <stdint.h>
    typedef struct { int32_t device_type; int32_t device_id; } fastopt_dl_device;
    typedef struct { uint8_t code; uint8_t bits; uint16_t lanes; } fastopt_dl_dtype;
    typedef struct {
        void* data; fastopt_dl_device device; int32_t ndim; fastopt_dl_dtype dtype; int64_t* shape; int64_t* strides; uint64_t byte_offset;
    } fastopt_dl_tensor;
    typedef struct {
        uint32_t major; uint32_t minor; void* previous;
        void* allocator; void* from_object; void* to_object;
        int (*tensor_of)(void* object, fastopt_dl_tensor* out);
        void* current_stream;
    } fastopt_dl_exchange;
    """
    ctypedef struct fastopt_dl_device:
        int32_t device_type
        int32_t device_id
    ctypedef struct fastopt_dl_dtype:
        uint8_t code
        uint8_t bits
        uint16_t lanes
    ctypedef struct fastopt_dl_tensor:
        void* data
        fastopt_dl_device device
        int32_t ndim
        fastopt_dl_dtype dtype
        int64_t* shape
        int64_t* strides
        uint64_t byte_offset
    ctypedef struct fastopt_dl_exchange:
        uint32_t major
        void* tensor_of

ctypedef int (*fastopt_tensor_of)(void*, fastopt_dl_tensor*) except -1


cdef class Gatherer:
    cdef list params
    cdef object kind, api
    cdef fastopt_tensor_of tensor_of
    cdef fastopt_dl_device device
    cdef fastopt_dl_dtype parameter, gradient
    cdef Py_ssize_t count
    cdef int64_t* at
    cdef Py_ssize_t* first_dimension  # of each parameter, into the two below
    cdef int64_t* dimensions
    cdef int64_t* strides

    cdef bint usable(self, fastopt_dl_tensor* tensor, Py_ssize_t i, fastopt_dl_dtype* dtype) noexcept
