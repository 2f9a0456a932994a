"""A scriptable OpenD: the real protocol over TCP, a Hong Kong day from a seed, faults on command, a ledger of truth.

Arrows inside: `prices` and `calendar` know nothing; `universe` and `sessions` stand on them; `tape` makes trades;
`market` says when. `ledger` writes down what was made, `verdict` compares it with what a recorder stored.
"""
