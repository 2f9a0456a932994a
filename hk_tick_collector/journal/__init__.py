"""The journal: every byte that OpenD sent, and the session's events between them, in order of arrival.

`segments` is the format and the reader, `append` the recorder's end, `cursor` the writer's progress, `events` what the
session adds between the ticks.
"""
