"""Rprop. It starts at p = 10; the learning rate is the first step's size, and changes later to no effect."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

ANCHORS = [
    # g      g before  size                                      p
    #  2     0         1, the learning rate                      10 - 1 = 9
    #  3     2         1 * 3, at most 2                          9 - 2 = 7
    # -1     3         2 * 1/4 = 1/2                             7: the gradient turned, and is forgotten
    # -1     0         1/2                                       7 + 1/2 = 15/2
    #  1     -1        1/2 * 1/4, at least 3/8                   15/2: it turned again
    # -4     0         3/8                                       15/2 + 3/8 = 63/8
    Anchor(
        "rprop",
        (1.0, 0.5, 0.25, 4.0, 0.125, 2.0),
        (2.0, 3.0, -1.0, -1.0, 1.0, -4.0),
        (10.0, 9.0, 7.0, 7.0, 7.5, 7.5, 7.875),
        {"before": (2.0, 3.0, 0.0, -1.0, 0.0, -4.0), "size": (1.0, 2.0, 0.5, 0.5, 0.375, 0.375)},
        {"etas": (0.25, 3.0), "step_sizes": (0.375, 2.0)},
    ),
    # -1     0         the learning rate is 4, at most 2         10 + 2 = 12
    #  0     -1        2                                         12
    #  3     0         2                                         12 - 2 = 10
    #  1     3         2 * 3/2, at most 2                        10 - 2 = 8
    # -5     1         2 * 3/4 = 3/2                             8
    # -5     0         3/2                                       8 + 3/2 = 19/2
    # -1     -5        3/2 * 3/2, at most 2                      19/2 + 2 = 23/2
    Anchor(
        "rprop",
        (4.0, 0.5, 0.25, 4.0, 0.125, 2.0, 1.0),
        (-1.0, 0.0, 3.0, 1.0, -5.0, -5.0, -1.0),
        (10.0, 12.0, 12.0, 10.0, 8.0, 8.0, 9.5, 11.5),
        {"before": (-1.0, 0.0, 3.0, 1.0, 0.0, -5.0, -1.0), "size": (2.0, 2.0, 2.0, 2.0, 1.5, 1.5, 2.0)},
        {"etas": (0.75, 1.5), "step_sizes": (0.5, 2.0)},
    ),
]
