"""The session with OpenD, behind `futu_client`: what is asked, when it is asked again, and what is known of OpenD.

`link` is one connection; the other modules each own one question. Nothing in here reads a database or draws a
conclusion from a tick: all that comes is in the journal before it is seen here.
"""
