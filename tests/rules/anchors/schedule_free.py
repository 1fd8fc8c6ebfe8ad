"""Schedule-Free SGD and AdamW, in the paper's three sequences. z and the average x begin at p, which is y = (1 - beta) z + beta x.

The warm-up takes 4 steps, steps are weighed by t times the largest learning rate so far (r = 1, power 1):

    learning rates      1 * 1/4 = 1/4       3/4 * 2/4 = 3/8     1/4 * 3/4 = 3/16    1/2
    the largest         1/4                 3/8                 3/8                 1/2
    weights             1/4                 2 * 3/8 = 3/4       3 * 3/8 = 9/8       4 * 1/2 = 2
    c                   1                   3/4                 9/8 / (17/8) = 9/17 2 / (33/8) = 16/33
"""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

LRS = (1.0, 0.75, 0.25, 0.5)
AVERAGING = {"warmup_steps": 4.0, "r": 1.0, "weight_lr_power": 1.0}

# steps of AdamW, whose d = g / (s(v/c2) + 1) + 1/8 y
# step 1: v = 1/4 * 9 = 9/4, v/c2 = 9, d = 3/4 + 1/8 * 2 = 1;       z = 2 - 1/4 = 7/4,          x = 7/4,        y = 7/4
# step 2: v = 27/16 + 1/16 = 7/4, v/c2 = 16/7 * 7/4 = 4, d = -1/6 + 1/8 * 7/4 = 5/96
#         z = 7/4 - 3/8 * 5/96 = 443/256,     x = 1/4 * 7/4 + 3/4 * 443/256 = 1777/1024,  y = 3/4 * 443/256 + 1/4 * 1777/1024 = 7093/4096
# step 3: v = 21/16 + 1 = 37/16, v/c2 = 64/37 * 37/16 = 4, d = 2/3 + 1/8 * 7093/4096
Z3 = 443 / 256 - 3 / 16 * (2 / 3 + 7093 / 32768)
Y3 = 3 / 4 * Z3 + 1 / 4 * (8 / 17 * 1777 / 1024 + 9 / 17 * Z3)

ANCHORS = [
    # beta = 3/4
    # step 1: z = 10 - 1/4 * 4 = 9,         x = 9,                                              y = 9
    # step 2: z = 9 + 3/8 * 8 = 12,         x = 1/4 * 9 + 3/4 * 12 = 45/4,                      y = 1/4 * 12 + 3/4 * 45/4 = 183/16
    # step 3: z = 12 - 3/16 * 16 = 9,       x = 8/17 * 45/4 + 9/17 * 9 = 171/17,                y = 1/4 * 9 + 3/4 * 171/17 = 333/34
    # step 4: z = 9 + 1/2 * 4 = 11,         x = 17/33 * 171/17 + 16/33 * 11 = 347/33,           y = 1/4 * 11 + 3/4 * 347/33 = 117/11
    Anchor(
        "schedule_free_sgd",
        LRS,
        (4.0, -8.0, 16.0, -4.0),
        (10.0, 9.0, 183 / 16, 333 / 34, 117 / 11),
        {"z": (9.0, 12.0, 9.0, 11.0)},
        {"momentum": 0.75, **AVERAGING},
    ),
    Anchor(
        "schedule_free_adamw",
        LRS[:3],
        (3.0, -0.5, 2.0),
        (2.0, 1.75, 7093 / 4096, Y3),
        {"z": (1.75, 443 / 256, Z3), "v": (2.25, 1.75, 37 / 16)},
        {"betas": (0.25, 0.75), "eps": 1.0, **AVERAGING, "decay": 0.125},
    ),
]
