"""A simulated OpenD: the real protocol over TCP, a Hong Kong trading day from a seed, faults on command.

Layers: `prices` and `calendar` import nothing from here; `universe` and `sessions` come above them; `tape` makes
trades; `market` decides when. `ledger` records what was made; `verdict` compares it with what a recorder stored.
"""
