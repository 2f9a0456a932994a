"""The parts of the session that `futu_client` runs: what is asked of OpenD, when, and what is known of OpenD.

`link` is one connection; the other modules each own one question. Nothing in here reads a database or draws a
conclusion from a tick: everything that OpenD sends is in the journal before these modules see it.
"""
