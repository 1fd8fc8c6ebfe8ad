"""What is done to fastopt on purpose: calls at random beside a model, files altered, processes killed, compilers made to fail, sanitizers.

`make attack` does it for an hour, `make test-long` a little of each (`test_attack`). What is promised, and what was tried when, is in
docs/promises.md.
"""
