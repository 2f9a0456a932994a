"""The kind of file system that a directory is on.

Owns the list of kinds on which SQLite's WAL is not safe: its readers and writers share memory and locks, which does not
work over a network, or between a virtual machine and its host. There a database can be damaged, or a reader can hang.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_SHARED: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fakeowner", "fhgfs", "gfs2", "glusterfs", "gpfs",
    "grpcfuse", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "osxfs", "panfs", "prl_fs", "smb3", "smbfs",
    "v9fs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def file_system_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of file system, as the kernel calls it, such as `ext4` or `nfs4`; "": unknown.

    Args:
        path: a directory or file that exists.
        mounts: the kernel's list of mounts.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = path.resolve()
    except OSError:
        return ""
    found, depth = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 5 or not kinds[0]:  # noqa: PLR2004 - the mount point is the fifth
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= depth:  # the later of two mounts is visible
            found, depth = kinds[0], len(point.parts)
    return found


def is_shared(kind: str) -> bool:
    """Whether other machines, or the host of this one, may write to this kind of file system too."""
    return kind in _SHARED or kind == "fuse" or kind.startswith("fuse.")
