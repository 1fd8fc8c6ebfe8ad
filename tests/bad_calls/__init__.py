"""Bad calls, and odd ones: each either works, or raises what the documentation says with everything as it was before.

Four tables: calls of `step` (on every backend, with the gradients gathered in compiled code and in Python),
constructions, `fastopt.functional`, and changes to a standing optimizer. An entry says what is called and what comes of
it: an exception with its words (argument, expected, received), or a check of the result.
"""
