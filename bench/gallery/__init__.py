"""Pictures of what optimizers do, each drawn from runs of the package itself: `fastopt gallery`.

A picture is a module of this package: its `TITLE`, and `draw(path) -> caption`, which trains, draws into the file, and says in a few
sentences, with the numbers of this very run, what is to be seen. Nothing drawn is written down in advance. Seeds are fixed; what takes time
is a parameter of `draw`, so that tests draw the same with less.

    runs     training on a data set by mini-batches, and its loss along the way: what most pictures are made of
    surface  f(x, y) = x^2/20 + y^2, and the way of an optimizer over it
    page     the page that they stand on
"""

PICTURES = (
    "regimes",
    "lr_range",
    "decays",
    "decay_losses",
    "descent",
    "averages",
    "trajectories",
    "family",
    "batch_sizes",
    "share",
)
"""The modules that are pictures, in the order of the page."""
