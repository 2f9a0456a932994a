"""Every error that this project raises on purpose, and the one reaction that each asks for.

    CollectorError
    ├── ConfigError              the operator's to mend          → one line, exit 2
    │   └── AlreadyRunningError  another process owns DATA_ROOT  → one line, exit 2
    ├── ProtocolError
    │   ├── LocalProtocolError   we broke the protocol           → a fault of ours: fail loudly
    │   └── RemoteProtocolError  OpenD broke it                  → drop the connection, reconnect
    ├── SessionError             OpenD refused, or is silent     → drop the connection, reconnect
    ├── JournalError             it can't be used as it is       → one line, exit 1
    ├── DatabaseError            SQLite failed                   → reset the connection, retry with backoff
    │   └── DatabaseNewerError   made by a newer version         → one line, exit 2
    └── BadTickError             one row makes no sense          → keep it aside with its bytes, go on

A message holds what was seen, what was expected and, where there is something, what to do.
"""


class CollectorError(Exception):
    """The root: catching it catches what we raise on purpose and no bug."""


class ConfigError(CollectorError):
    """A setting or an argument is wrong; nothing was started. One line, exit 2."""


class AlreadyRunningError(ConfigError):
    """Another process owns this DATA_ROOT."""


class ProtocolError(CollectorError):
    """The wire protocol was broken."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a programmer's error."""


class RemoteProtocolError(ProtocolError):
    """The other side sent what the protocol does not allow."""


class SessionError(CollectorError):
    """OpenD refused a call, or did not answer it in time."""


class JournalError(CollectorError):
    """The journal can't be used as it is."""


class DatabaseError(CollectorError):
    """SQLite failed."""


class DatabaseNewerError(DatabaseError, ConfigError):
    """The database was made by a newer version of this program."""


class BadTickError(CollectorError):
    """One row from OpenD makes no sense; the message names the field."""
