"""Values worked out by hand: a module a family, as in `fastopt/rules/`, with its `ANCHORS` (see `tests.rules.hand_computed`)."""
