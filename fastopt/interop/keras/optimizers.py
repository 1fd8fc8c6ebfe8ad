"""The classes: Keras's by name, each with fastopt's step. `fastopt.interop.keras.dropin` says what is special about them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import keras

from fastopt.interop.keras.dropin import DropIn
from fastopt.interop.keras.kinds import KINDS

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop", "of"]


class SGD(DropIn, keras.optimizers.SGD):
    """Gradient descent, with momentum where asked for: `v <- momentum v - lr g;  w <- w + v`, as keras.optimizers.SGD.

    With Nesterov's look ahead, `w <- w + momentum v - lr g`. Sutskever et al., ICML 2013.
    """

    kind = KINDS["SGD"]


class RMSprop(DropIn, keras.optimizers.RMSprop):
    """`v <- rho v + (1 - rho) g^2;  w <- w - lr g / sqrt(v + epsilon)`, centered or with momentum, as keras.optimizers.RMSprop.

    T. Tieleman and G. Hinton, lecture 6.5, 2012; A. Graves, 2013, for the centered form.
    """

    kind = KINDS["RMSprop"]


class Adagrad(DropIn, keras.optimizers.Adagrad):
    """`h <- h + g^2;  w <- w - lr g / sqrt(h + epsilon)`, as keras.optimizers.Adagrad. J. Duchi et al., JMLR 12, 2011."""

    kind = KINDS["Adagrad"]


class Adadelta(DropIn, keras.optimizers.Adadelta):
    """`v <- rho v + (1 - rho) g^2;  d = sqrt(u + epsilon) / sqrt(v + epsilon) g;  u <- rho u + (1 - rho) d^2;  w <- w - lr d`.

    As keras.optimizers.Adadelta. M. D. Zeiler, 2012.
    """

    kind = KINDS["Adadelta"]


class Adam(DropIn, keras.optimizers.Adam):
    """`m <- beta_1 m + (1 - beta_1) g;  v <- beta_2 v + (1 - beta_2) g^2;  w <- w - lr sqrt(c2) / c1 m / (sqrt(v) + epsilon)`.

    c = 1 - beta^t; as keras.optimizers.Adam, with AMSGrad as there. D. P. Kingma and J. Ba, ICLR 2015.
    """

    kind = KINDS["Adam"]


class AdamW(DropIn, keras.optimizers.AdamW):
    """Adam with weight decay by default, `w <- (1 - lr weight_decay) w` before the step, as keras.optimizers.AdamW.

    I. Loshchilov and F. Hutter, ICLR 2019.
    """

    kind = KINDS["Adam"]


class Adamax(DropIn, keras.optimizers.Adamax):
    """`m <- beta_1 m + (1 - beta_1) g;  u <- max(beta_2 u, |g|);  w <- w - lr m / ((1 - beta_1^t) (u + epsilon))`.

    As keras.optimizers.Adamax. D. P. Kingma and J. Ba, ICLR 2015, section 7.1.
    """

    kind = KINDS["Adamax"]


class Nadam(DropIn, keras.optimizers.Nadam):
    """Adam that looks ahead along its first moment, as keras.optimizers.Nadam.

    The product of momenta is known in float64. T. Dozat, 2016.
    """

    kind = KINDS["Nadam"]


class Lion(DropIn, keras.optimizers.Lion):
    """`w <- w - lr sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g`, as keras.optimizers.Lion.

    X. Chen et al., NeurIPS 2023.
    """

    kind = KINDS["Lion"]


CLASSES: dict[type, type[DropIn]] = {
    getattr(keras.optimizers, own.__name__): own for own in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion)
}
"""Keras's class -> the one here."""


def of(optimizer: Any) -> DropIn:
    """The optimizer of this package that goes on where one of Keras's stands: of its class, its arguments and copies of its variables.

        model = keras.models.load_model("model.keras")
        model.optimizer = fastopt.interop.keras.of(model.optimizer)

    Raises TypeError for an optimizer that there is none of here.
    """
    found = next((CLASSES[base] for base in type(optimizer).__mro__ if base in CLASSES), None)
    if found is None:
        names = ", ".join(own.__name__ for own in CLASSES.values())
        raise TypeError(f"optimizer: expected one of Keras's {names}, received {type(optimizer).__name__}")
    rate = optimizer._learning_rate
    config = {**optimizer.get_config(), "learning_rate": float(rate) if isinstance(rate, keras.Variable) else rate}
    made = found(**config)
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(optimizer, name):
            setattr(made, name, getattr(optimizer, name))
    if optimizer.built:
        with keras.name_scope(made.name, caller=made):
            made.build(optimizer._trainable_variables[:])
    for own, theirs in zip(made.variables, optimizer.variables, strict=True):
        own.assign(theirs)
    return made


# A file that Keras saves tells of Keras's own class, which has the same arguments and variables: so it is read where there is no fastopt.
# Keras asks this table of its own what to call a class; where it should be gone, files tell of the class here, and are read with
# custom_objects={"Adam": fastopt.interop.keras.Adam}.
with suppress(ImportError):
    from keras.src.api_export import REGISTERED_OBJS_TO_NAMES

    REGISTERED_OBJS_TO_NAMES.update({own: f"keras.optimizers.{own.__name__}" for own in CLASSES.values()})
