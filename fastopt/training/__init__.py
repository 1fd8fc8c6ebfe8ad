"""What a training loop needs beside the optimizer. Every part stands alone, and takes any model.

    batches           mini-batches by shuffle and partition
    room              what caches, memory and GPU have room for
    average           exponentially weighted averages
    stopping          early stopping
    divergence        a watch for runs that diverge
    history, regimes  what a learning rate does, read from a run: diverges, overshoots, plateaus, good, slow
    range_test        the learning-rate range test
    search, spaces    random search on log scales, coarse to fine
    batch_size_study  the best learning rate for each batch size

Importing this loads NumPy and nothing heavier; tqdm or rich, and matplotlib, are loaded when something is shown or drawn.
"""

from fastopt.training.average import ExponentialAverage, smoothed
from fastopt.training.batch_size_study import BatchSizeResult, BatchSizeStudy, study_batch_sizes
from fastopt.training.batches import Batches, default_batch_size, mini_batches
from fastopt.training.divergence import DivergenceDetector
from fastopt.training.history import History
from fastopt.training.progress import tracked
from fastopt.training.range_test import RangeTest, learning_rate_range_test
from fastopt.training.regimes import regime_of, regimes_of
from fastopt.training.room import Capacity, Fit, capacity, fits
from fastopt.training.search import Search, Trial, random_search
from fastopt.training.spaces import Choice, LogUniform, OneMinusLogUniform, Uniform
from fastopt.training.stopping import EarlyStopping
from fastopt.training.verdict import REGIMES, Diverged, Verdict

__all__ = [
    "REGIMES",
    "BatchSizeResult",
    "BatchSizeStudy",
    "Batches",
    "Capacity",
    "Choice",
    "Diverged",
    "DivergenceDetector",
    "EarlyStopping",
    "ExponentialAverage",
    "Fit",
    "History",
    "LogUniform",
    "OneMinusLogUniform",
    "RangeTest",
    "Search",
    "Trial",
    "Uniform",
    "Verdict",
    "capacity",
    "default_batch_size",
    "fits",
    "learning_rate_range_test",
    "mini_batches",
    "random_search",
    "regime_of",
    "regimes_of",
    "smoothed",
    "study_batch_sizes",
    "tracked",
]
