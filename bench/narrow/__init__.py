"""What narrow storage costs and does, shown by runs of the package itself: `fastopt narrow`.

A picture of the page is a module: its `TITLE`, and `draw(path, effort) -> caption`, which measures or trains, draws into the file, and
says with the numbers and tables of this very run what is to be seen. Nothing of it is written down in advance. What takes time is in the
`effort`.

    storages   the list of what is compared, and how the states of an optimizer are looked at
    runs       four trainings, paired by seed: a network, its batches and its first parameters are the same under every storage
    text       the smallest of them that is none of `bench.workloads`: a model of characters
    models     storages that the package does not have, in NumPy, for the sake of what goes wrong with them
    noise      gradients that are drawn, and Adam's states and updates under them
    peers      optimizers of others that keep their states narrow
    page       the page that they stand on
"""

PICTURES = (
    "held",
    "times",
    "training",
    "curves",
    "parameters",
    "stages",
    "standing",
    "scales",
    "zeros",
    "magnitudes",
    "dropped",
)
"""The modules that are pictures, in the order of the page."""
