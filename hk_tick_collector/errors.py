"""Every error that this project raises on purpose, and the one reaction that each calls for.

    CollectorError
    ├── ConfigError              the operator has to fix it      → one line, exit 2
    │   ├── AlreadyRunningError  another process owns DATA_ROOT  → one line, exit 2
    │   ├── MissingExtraError    a package is not installed      → one line that names the extra, exit 2
    │   ├── NoDataError          no such day, symbol or range    → one line, exit 2; the read API raises it
    │   └── ForeignFileError     not a file of ours, or cut off  → one line, exit 2; the read API raises it
    ├── ProtocolError
    │   ├── LocalProtocolError   we broke the protocol           → our bug: fail loudly
    │   └── RemoteProtocolError  OpenD broke it                  → drop the connection, reconnect
    ├── SessionError             the session can't go on         → drop the connection, reconnect
    │   ├── RefusedError         OpenD refused a call            → log it, try that call again later
    │   └── UnansweredError      one call got no answer          → log it, try that call again later
    ├── JournalError             it can't be used as it is       → one line, exit 1
    ├── NotProvenError           a day lacks what was required   → one line, exit 1; the read API raises it
    ├── ArchiveError             an archive is not as certified  → one line, exit 1; nothing is deleted
    ├── DatabaseError            SQLite failed                   → reset the connection, retry with backoff
    │   ├── DayError             of one day's database           → that day waits, the others go on
    │   ├── FileGoneError        a file is gone or replaced      → that day waits, or is made again
    │   ├── ArchivedDayError     a day has only its archive      → that day waits, until it is a database again
    │   ├── DatabaseNewerError   made by a newer version         → one line, exit 2
    │   └── OlderRecorderError   made by the older recorder      → one line, exit 2
    ├── ContentError             its content can't be stored     → keep it aside with its bytes, go on
    │   └── OddMarkError         its content can't be judged     → keep it aside with its bytes, go on
    ├── BadTickError             one row makes no sense          → keep it aside with its bytes, go on
    ├── TimeFormatError          a text is not a time            → the caller knows whose text it is
    ├── CallRefusedError         the simulator refuses a call    → an answer with that text
    ├── CommandError             a control command is wrong      → an answer with that text
    └── DemoFailedError          the demo can't go on            → one line, exit 1

A message names what was seen, what was expected and, if anything can be done, what to do.
"""


class CollectorError(Exception):
    """The root: catching it catches everything that we raise on purpose, and no bug."""


class ConfigError(CollectorError):
    """A setting or an argument is wrong; nothing was started. One line, exit 2."""


class AlreadyRunningError(ConfigError):
    """Another process owns this DATA_ROOT."""


class MissingExtraError(ConfigError):
    """A package that this needs is not installed; the message names the extra that has it."""


class NoDataError(ConfigError):
    """There is no such day or symbol, or a range is empty."""


class ForeignFileError(ConfigError):
    """A file or directory that this program did not make, or only a part of one."""


class NotProvenError(CollectorError):
    """A day does not meet what the reader required of it, such as `require="complete"`."""


class ArchiveError(CollectorError):
    """An archived day is not what its certificate says, or can't be written."""


class ProtocolError(CollectorError):
    """The wire protocol was broken."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a programming error."""


class RemoteProtocolError(ProtocolError):
    """The other side sent what the protocol does not allow."""


class SessionError(CollectorError):
    """OpenD refused a call, or did not answer it in time."""


class JournalError(CollectorError):
    """The journal can't be used as it is."""


class DatabaseError(CollectorError):
    """SQLite failed."""


class DayError(DatabaseError):
    """The database of one day failed.

    Attributes:
        day: YYYYMMDD.
        cause: what was raised.
    """

    def __init__(self, day: str, cause: Exception) -> None:
        super().__init__(f"{day}: {type(cause).__name__}: {cause}")
        self.day = day
        self.cause = cause


class FileGoneError(DatabaseError):
    """A database's file is gone, or another file has its name."""


class ArchivedDayError(DatabaseError):
    """Something new came for a day that has only its archive."""


class DatabaseNewerError(DatabaseError, ConfigError):
    """The database was made by a newer version of this program."""


class OlderRecorderError(DatabaseError, ConfigError):
    """The database was made by the older recorder: `migrate` can take its ticks over."""


class ContentError(CollectorError):
    """Something can't be stored or judged because of its content; a retry would not help."""


class OddMarkError(ContentError):
    """A mark can't be judged; `part` is the number of the part of the batch that it ends."""

    def __init__(self, part: int, reason: str) -> None:
        super().__init__(reason)
        self.part = part


class BadTickError(CollectorError):
    """One row from OpenD makes no sense; the message names the field."""


class TimeFormatError(CollectorError):
    """A text or number can't be read as a time. Of a tick it becomes a BadTickError, of an option a ConfigError."""


class RefusedError(SessionError):
    """OpenD answered a call with an error of its own.

    Attributes:
        ret_type: its `retType`.
        text: its `retMsg`, as plain text.
    """

    def __init__(self, call: str, ret_type: int, text: str) -> None:
        super().__init__(f"{call} refused by OpenD: {text or 'no reason given'} (retType {ret_type})")
        self.ret_type = ret_type
        self.text = text


class UnansweredError(SessionError):
    """A call got no answer in time, but other data came on the link meanwhile, or reading from it is paused."""


class CallRefusedError(CollectorError):
    """The simulated OpenD refuses a call, with this text."""


class CommandError(CollectorError):
    """A command to the simulator's control port is wrong."""


class DemoFailedError(CollectorError):
    """The demo can't go on."""
