"""Keras's optimizers by fastopt's kernels: one line of a training script changes.

    from fastopt.interop.keras import Adam                   # was: from keras.optimizers import Adam

    model.compile(optimizer=Adam(1e-3), loss="mse")          # Keras's own arguments, schedules, callbacks and `.keras` files

Variables of Keras on PyTorch, in host memory, are updated where they lie, in one compiled call for all of them; those of Keras on NumPy
too, where gradients come from elsewhere. On JAX and TensorFlow arrays cannot be written to, so nothing could be stepped in place.
"""

try:
    import keras
except ModuleNotFoundError as error:  # only Keras itself: what it lacks is for it to say
    if error.name != "keras":
        raise
    raise ModuleNotFoundError("fastopt.interop.keras takes Keras 3: pip install 'fastopt[keras]'", name="keras") from error

if keras.backend.backend() not in ("torch", "numpy"):
    raise ImportError(
        "fastopt.interop.keras: expected Keras on PyTorch or on NumPy, whose arrays a step can write to, received Keras on "
        f"{keras.backend.backend()!r}, whose arrays are immutable: a step makes new ones, within a compiled function of that framework. "
        "Set KERAS_BACKEND=torch before Keras is imported"
    )

from fastopt.interop.keras.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop, of

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop", "of"]

del keras
