"""What a disk can do to a recorder: fill up, fail, and lose its power. Each really happens, and no tick is lost."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.needs import mount, need_tools, unmount
from support.recorder_process import RecorderProcess
from support.simulator_process import SimulatorProcess
from support.ticks import TENCENT, pushes, seq_at
from support.writer_process import WriterBench, until

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.journal import append
from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.faults

EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_NOLOGFLUSH = 2


class Disk:
    """A file system of its own."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "disk"
        self.root.mkdir()
        self._image = directory / "disk.img"

    def mount_small(self, size_bytes: int) -> None:
        """In memory, of that size."""
        mount(self.root, f"size={size_bytes}")

    def mount_ext4(self) -> None:
        """A real one, in a file that keeps what reached the disk."""
        need_tools("mkfs.ext4")
        if not self._image.exists():
            with self._image.open("wb") as file:
                file.truncate(256 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)
        mount(self.root, "loop", kind="ext4", what=self._image)

    def cut_power(self) -> None:
        """From here on nothing reaches the disk any more; what has not is lost."""
        directory = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_NOLOGFLUSH))
        finally:
            os.close(directory)

    def unmount(self) -> None:
        """Take it away."""
        unmount(self.root)

    def end(self) -> None:
        """Take it away, whatever still uses it."""
        unmount(self.root, is_busy=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that is not there yet."""
    need_tools("umount")
    made = Disk(tmp_path)
    yield made
    made.end()


def keys(ordinals: range) -> list[tuple[str, int]]:
    """What is stored of `pushes` of these."""
    return [(TENCENT, seq_at(n)) for n in ordinals]


def fill(ballast: Path) -> None:
    """Take the disk's last page."""
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_loses_nothing(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While neither journal nor database takes a byte, both say so and hold; with space again all is stored, once."""
    monkeypatch.setattr(append, "RETRY_SEC", 0.02)
    disk.mount_small(6 << 20)
    bench = WriterBench(disk.root, tmp_path)
    ballast = disk.root / "ballast"
    writer = bench.write(batch_size=500)
    bench.feed(pushes(TENCENT, range(500)))
    writer.wait_until(inserted=500)
    writer.process.send_signal(signal.SIGSTOP)
    ballast.write_bytes(bytes((6 << 20) - 1_500_000))
    fed = 500
    while bench.journal.fault is None:
        bench.journal.append_frames(1, 0, pushes(TENCENT, range(fed, fed + 100)))
        fed += 100
        time.sleep(0.002)
    assert "No space left" in bench.journal.fault
    fill(ballast)
    writer.process.send_signal(signal.SIGCONT)
    assert writer.wait_for("error", 3)["error"].partition(":")[0] in {"FullError", "IOError", "OSError"}
    for _ in range(20):
        bench.journal.append_frames(1, 0, pushes(TENCENT, range(fed, fed + 100)))
        fed += 100
    assert bench.journal.buffered_bytes > 0
    assert bench.journal.fault is not None
    ballast.unlink()
    assert bench.journal.flush(60)
    assert writer.end() == 0
    assert bench.keys() == keys(range(fed))
    assert writer.totals["bad"] == writer.totals["damages"] == writer.totals["revisions"] == 0
    bench.end()


def test_a_disk_that_is_full_at_the_start_is_no_wrong_setting(disk: Disk) -> None:
    """A recorder that finds no room ends with 1, after which it is started again; 2 would say that it never can run."""
    mount(disk.root, "nr_inodes=3")
    for name in ("a", "b"):
        (disk.root / name).touch()  # no inode is left
    env = {"PATH": os.environ["PATH"], "FUTU_SYMBOLS": TENCENT, "DATA_ROOT": str(disk.root / "data")}
    command = [sys.executable, "-m", "hk_tick_collector.cli.app", "run"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith(
        f"hk-tick-collector: DATA_ROOT='{disk.root}/data' (environment): expected a directory"
    )
    assert "No space left on device" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_recorder_that_starts_on_a_full_disk_records(disk: Disk, tmp_path: Path) -> None:
    """Today's database can't even be read there; what comes is held in memory, and stored once there is space."""
    disk.mount_small(12 << 20)
    ballast = disk.root / "ballast"
    with (
        SimulatorProcess(tmp_path, "--now", "--hold", "--symbols", TENCENT) as sim,
        RecorderProcess(tmp_path, sim.port, [TENCENT], DATA_ROOT=disk.root) as recorder,
    ):
        recorder.data_root = disk.root
        recorder.wait_for("sqlite_pragmas")
        assert recorder.stop() == 0
        fill(ballast)
        (day,) = disk.root.glob("*.db")
        with pytest.raises(DatabaseError, match="disk I/O error"):
            open_readonly(day)
        recorder.start()
        recorder.wait_for("journal_write_failed")
        ballast.unlink()
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0


@pytest.mark.parametrize(("call", "error"), [("pwrite64", "EIO"), ("fdatasync", "EIO"), ("pwrite64", "ENOSPC")])
def test_a_disk_that_fails_now_and_then_loses_nothing(tmp_path: Path, call: str, error: str) -> None:
    """Each few calls of the writer fail: nothing counts that was not committed, and all is stored at last, once."""
    need_tools("strace")
    bench = WriterBench(tmp_path)
    writer = bench.write(batch_size=100)
    bench.feed(pushes(TENCENT, range(100)))
    writer.wait_until(inserted=100)
    trace = tmp_path / "trace"
    injected = f"inject={call}:error={error}:when=5+7"
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(writer.process.pid), "-o", trace, "-e", f"trace={call}", "-e", injected],
        stderr=subprocess.PIPE,
    )
    assert tracer.stderr is not None
    assert b"attached" in tracer.stderr.readline()
    for start in range(100, 3000, 100):
        bench.feed(pushes(TENCENT, range(start, start + 100)))
        time.sleep(0.01)
    writer.wait_for("error", 3)
    tracer.terminate()
    tracer.communicate()
    assert len(re.findall(r"INJECTED", trace.read_text())) >= 3
    assert writer.end() == 0
    assert bench.keys() == keys(range(3000))
    counted = bench.query("SELECT symbol, count(*), sum(volume) FROM ticks GROUP BY symbol")
    assert bench.query("SELECT symbol, rows, volume_sum FROM symbol_stats") == counted
    assert bench.query("PRAGMA integrity_check") == [("ok",)]
    bench.end()


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_a_power_cut_loses_nothing_that_was_confirmed(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    """FULL loses no committed row; NORMAL does, and gets each one back out of the journal after the restart.

    Confirmed is what `flush` of the journal said is on the disk. That NORMAL does lose rows proves that the power was
    really cut.
    """
    monkeypatch.setattr(append, "RETRY_SEC_MAX", 0.5)
    disk.mount_ext4()
    bench = WriterBench(disk.root, tmp_path)
    writer = bench.write(batch_size=200, synchronous=synchronous)
    confirmed = fed = 0
    is_cut = threading.Event()

    def feed() -> None:
        nonlocal confirmed, fed
        while not is_cut.is_set():
            bench.journal.append_frames(1, 0, pushes(TENCENT, range(fed, fed + 50)))
            fed += 50
            if bench.journal.flush(0.5) and not is_cut.is_set():
                confirmed = fed

    feeder = threading.Thread(target=feed)
    feeder.start()
    writer.wait_until(inserted=3000)
    committed = writer.totals["inserted"]
    confirmed_before = confirmed
    disk.cut_power()
    is_cut.set()
    feeder.join()
    writer.close()
    bench.journal.close(0.1)
    until(lambda: not bench.journal.is_alive)
    bench.end()
    disk.unmount()
    disk.mount_ext4()

    again = WriterBench(disk.root, tmp_path)
    stored = len(again.keys())
    if synchronous == "FULL":
        assert stored >= committed
    else:
        assert stored < committed, "the power was not cut"
    cursor = again.root / DIRECTORY / CURSOR
    with contextlib.suppress(FileNotFoundError, ValueError):  # the machine was started anew
        cursor.write_text(json.dumps({**json.loads(cursor.read_text()), "boot_id": "the one before"}))
    assert again.write(synchronous=synchronous).end() == 0
    found = again.keys()
    assert found == keys(range(len(found)))
    assert len(found) >= max(confirmed_before, committed if synchronous == "FULL" else 0)
    again.end()
