"""scikit-learn's multi-layer perceptrons, trained with fastopt's step: one line around a training script.

    import fastopt.interop.sklearn

    with fastopt.interop.sklearn.patched():
        MLPClassifier((512, 512), batch_size=16).fit(X, y)      # likewise `partial_fit`, `warm_start`, MLPRegressor, grid searches

    fastopt.interop.sklearn.patch()                             # from here on, until `unpatch()`

Estimators stay scikit-learn's own, in every attribute, and so do their pickles.
"""

try:
    import sklearn
except ModuleNotFoundError as error:  # only scikit-learn itself: what it lacks is for it to say
    if error.name != "sklearn":
        raise
    raise ModuleNotFoundError("fastopt.interop.sklearn takes scikit-learn: pip install 'fastopt[sklearn]'", name="sklearn") from error

from fastopt.interop.sklearn.switch import is_patched, patch, patched, unpatch

__all__ = ["is_patched", "patch", "patched", "unpatch"]

del sklearn
