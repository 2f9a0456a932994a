"""On what a directory lies, by the kernel's list of mounts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hk_tick_collector.config import Settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store import file_system
from hk_tick_collector.store.file_system import file_system_of, is_shared


def mounted(directory: Path, *mounts: tuple[str, Path]) -> Path:
    """A list of mounts as the kernel writes it, with a root."""
    lines = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"]
    for number, (kind, point) in enumerate(mounts):
        name = str(point).replace("\\", "\\134").replace(" ", "\\040")
        lines.append(f"{30 + number} 22 0:{number} / {name} rw,relatime shared:7 master:1 - {kind} //nas/x rw")
    path = directory / "mountinfo"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_innermost_mount_tells_and_of_two_on_one_place_the_later(tmp_path: Path) -> None:
    """Also with blanks in its name; a name that begins alike is another directory."""
    place = tmp_path / "my data" / "ticks"
    place.mkdir(parents=True)
    (tmp_path / "my data too").mkdir()
    assert file_system_of(place, mounted(tmp_path)) == "ext4"
    outer = ("nfs4", tmp_path / "my data")
    assert file_system_of(place, mounted(tmp_path, outer)) == "nfs4"
    assert file_system_of(tmp_path / "my data too", mounted(tmp_path, outer)) == "ext4"
    assert file_system_of(place, mounted(tmp_path, outer, ("xfs", place))) == "xfs"
    assert file_system_of(place, mounted(tmp_path, ("xfs", place), outer)) == "xfs"
    assert file_system_of(place, mounted(tmp_path, ("xfs", place), ("cifs", place))) == "cifs"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What counts is where the files are."""
    (tmp_path / "nas").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "nas")
    assert file_system_of(tmp_path / "data", mounted(tmp_path, ("cifs", tmp_path / "nas"))) == "cifs"


@pytest.mark.parametrize("text", [None, "", "nonsense", "1 2 3 - ", " - ext4"])
def test_what_the_kernel_does_not_tell_is_unknown(tmp_path: Path, text: str | None) -> None:
    """A system without that list, or with another one, is not refused for that."""
    path = tmp_path / "mounts"
    if text is not None:
        path.write_text(text)
    assert file_system_of(tmp_path, path) == ""
    assert not is_shared("")


def test_the_kernel_and_the_system_say_the_same(tmp_path: Path) -> None:
    """Of the disk that this test runs on."""
    command = ["stat", "-f", "-c", "%T", tmp_path]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    kind = file_system_of(tmp_path)
    if not kind:  # in a chroot its disk is not in the kernel's list
        assert not any(line.split(" ")[4] == "/" for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return
    assert kind in {told, "ext4", "overlay"} if told in {"ext2/ext3", "overlayfs"} else kind == told


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "fuse.sshfs", "fuse"])
def test_a_shared_one_is_refused_in_one_line_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With what it is, what was expected and what to do."""
    root = tmp_path / "data"
    monkeypatch.setattr(file_system.file_system_of, "__defaults__", (mounted(tmp_path, (kind, root)),))
    with pytest.raises(ConfigError, match=f"expected a local disk, found {kind}, .* set DATA_ROOT_ALLOW_SHARED=true"):
        Settings(data_root=root).prepare_data_root()
    assert Settings(data_root=root, data_root_allow_shared=True).prepare_data_root() == root


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "fuseblk", "bcachefs"])
def test_a_local_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Whatever its kind."""
    root = tmp_path / "data"
    monkeypatch.setattr(file_system.file_system_of, "__defaults__", (mounted(tmp_path, (kind, root)),))
    assert Settings(data_root=root).prepare_data_root() == root
    assert os.listdir(root) == []  # noqa: PTH208 - what is there, and nothing made of it
