"""Everything that is particular to host memory, as `fastopt.cuda` holds what is particular to CUDA.

arrays      what may be a parameter or a gradient: NumPy arrays, and how their elements lie
memory      states, copies (the counterpart of `fastopt.cuda.memory`)
worklist    rows and addresses; `_gather.pyx` checks and gathers the gradients, `_plain.pxd` is what compiled code asks of an array
launched    kernels called by their address; `_launch.pyx` does it, over a work list or once for one tensor
threads     how many threads a step may use
pool.h      the threads that help; placement.h: which CPU each has; mode.h: how they do arithmetic; round_trip.h: how far apart two are
team.h      the threads of another library, in their place
_turn.pyx   whose turn it is to work on an optimizer (`fastopt.optimizers.turns`)
"""
