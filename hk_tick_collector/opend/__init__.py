"""OpenD's wire protocol, pure: no sockets, no clocks, no threads. Bytes in, events out."""
