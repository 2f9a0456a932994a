"""The journal: every byte that OpenD sent, and what the session has to say between them, in the order they came.

`segments` is the format and the reader, `append` the recorder's end, `cursor` how far the writer has come, `events`
what the session puts between the ticks.
"""
