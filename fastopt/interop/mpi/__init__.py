"""NumPy training on several processes over MPI, each of which keeps a part of the optimizer's state.

    from mpi4py import MPI
    from fastopt.interop.mpi import Sharded

    opt = Sharded(fastopt.AdamW, params, MPI.COMM_WORLD, lr=1e-3)
    opt.step(grads, grad_scale=MPI.COMM_WORLD.size)      # the mean of all ranks' gradients

Gradients are added up in the order of the ranks, each rank steps on its own part of the parameters, and all ranks get all parts: as one
process would with the sum of the gradients, to the last bit.
"""

try:
    import mpi4py
except ModuleNotFoundError as error:  # only mpi4py itself: what it lacks is for it to say
    if error.name != "mpi4py":
        raise
    raise ModuleNotFoundError("fastopt.interop.mpi takes mpi4py: pip install 'fastopt[mpi]'", name="mpi4py") from error

from fastopt.interop.mpi.agreement import abort_on_error
from fastopt.interop.mpi.sharded import Sharded

__all__ = ["Sharded", "abort_on_error"]

del mpi4py
