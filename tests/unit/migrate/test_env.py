"""The older recorder's env file: what is taken over is valid here, and every name is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.migrate.env import Env, read_env, refuse_existing, write_env
from hk_tick_collector.store.setting_names import OLDER

OLD = """\
FUTU_HOST=10.0.0.5
FUTU_SYMBOLS=HK.00700, HK.00981
# a comment
DATA_ROOT="/data/sqlite/HK"
BATCH_SIZE=500
BACKFILL_N=0
SQLITE_BUSY_TIMEOUT_MS=5
FUTU_HOLIDAYS=20261225
TG_TOKEN=123456:SECRET
TG_CHAT_ID=
HEALTH_INTERVAL_SEC=900
LOG_LEVEL=warn
METRICS_PORT=9000
MY_OWN=1
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(place: Path, text: str) -> Env:
    """What is read of an old file, for a recorder with DATA_ROOT `data`."""
    (place / "old.env").write_text(text)
    return read_env(place / "old.env", Path("data"))


def test_every_setting_is_answered(place: Path) -> None:
    """In the order of the file: taken over, replaced, not needed, refused, empty or unknown; no secret is kept."""
    env = read(place, OLD)
    assert [(became.name, became.fate) for became in env.became] == [
        ("FUTU_HOST", "taken over"), ("FUTU_SYMBOLS", "taken over"), ("DATA_ROOT", "replaced"),
        ("BATCH_SIZE", "default"), ("BACKFILL_N", "default"), ("SQLITE_BUSY_TIMEOUT_MS", "refused"),
        ("FUTU_HOLIDAYS", "not needed"), ("TG_TOKEN", "replaced"), ("TG_CHAT_ID", "empty"),
        ("HEALTH_INTERVAL_SEC", "replaced"), ("LOG_LEVEL", "taken over"), ("METRICS_PORT", "unknown"),
        ("MY_OWN", "unknown"),
    ]  # fmt: skip
    text = {became.name: became.text for became in env.became}
    assert text["FUTU_HOST"] == "taken over as FUTU_HOST=10.0.0.5"
    assert text["DATA_ROOT"] == f"replaced by DATA_ROOT={place}/data"
    assert text["BACKFILL_N"] == "left at the default here: less than 1000 leaves holes after an outage"
    assert text["FUTU_HOLIDAYS"] == "not needed: OpenD is asked for the exchange's calendar"
    assert text["SQLITE_BUSY_TIMEOUT_MS"] == (
        "not taken over, so the default stays: SQLITE_BUSY_TIMEOUT_MS='5': expected a whole number from 1000 to "
        "600000, such as 5000"
    )
    assert text["METRICS_PORT"].endswith("this recorder has a setting of that name: set it yourself")
    assert "SECRET" not in str(env)
    assert env.data_root == "/data/sqlite/HK"


def test_what_is_written_is_what_this_recorder_reads(place: Path) -> None:
    """Only what was taken over, and the new DATA_ROOT; symbols without blanks, a level by its name here."""
    write_env(read(place, OLD), place / "new.env", may_replace=False)
    lines = [line for line in (place / "new.env").read_text().splitlines() if not line.startswith("#")]
    assert lines == [
        "FUTU_HOST=10.0.0.5",
        "FUTU_SYMBOLS=HK.00700,HK.00981",
        f"DATA_ROOT={place}/data",
        "LOG_LEVEL=WARNING",
    ]
    loaded = load_settings(env_file=place / "new.env", environ={})
    assert loaded.settings.futu_symbols == "HK.00700,HK.00981"
    assert loaded.of_older == {}


def test_a_path_with_blanks_is_quoted(place: Path) -> None:
    """As systemd and dotenv both read it."""
    for name in ("my data", "it's data", "plain"):
        (place / "old.env").write_text("FUTU_PORT=1\n")
        env = read_env(place / "old.env", place / name)
        write_env(env, place / "new.env", may_replace=True)
        assert load_settings(env_file=place / "new.env", environ={}).settings.data_root == place / name


def test_the_first_names_of_all_become_ours(place: Path) -> None:
    """Its first release named them otherwise."""
    env = read(place, "export HKTC_OPEND_HOST=h\nHKTC_OPEND_PORT=1\nHKTC_SYMBOLS='HK.00005'\nHKTC_DATA_DIR=/d\n")
    assert env.values == {
        "DATA_ROOT": f"{place}/data", "FUTU_HOST": "h", "FUTU_PORT": "1", "FUTU_SYMBOLS": "HK.00005",
    }  # fmt: skip
    assert env.data_root == "/d"


def test_values_that_do_not_go_together_are_refused(place: Path) -> None:
    """Each is checked with those before it."""
    env = read(place, "RECONNECT_MIN_DELAY=30\nRECONNECT_MAX_DELAY=20\n")
    assert [became.fate for became in env.became] == ["taken over", "refused"]
    assert "expected at least RECONNECT_MIN_DELAY=30" in env.became[1].text


def test_a_line_that_is_none_is_told_by_its_number(place: Path) -> None:
    """It may be a secret."""
    env = read(place, "FUTU_PORT=2\nmy secret token\nFUTU_HOST\n")
    assert env.bad_lines == (2, 3)
    assert env.values["FUTU_PORT"] == "2"


def test_the_older_recorders_own_file_is_never_written_over(place: Path) -> None:
    """Not even when told to replace what is there, and not by another name either."""
    (place / "old.env").write_text(OLD)
    (place / "link.env").symlink_to("old.env")
    for name in ("old.env", "link.env"):
        with pytest.raises(ConfigError, match=rf"{name} is the older recorder's file itself: name another one$"):
            refuse_existing(place / name, place / "old.env", may_replace=True)


def test_nothing_is_overwritten_without_being_told_to(place: Path) -> None:
    """One line says what can be done; a file that can't be read or written is one line, too."""
    env = read(place, OLD)
    (place / "new.env").write_text("mine")
    with pytest.raises(ConfigError, match=r"new\.env is there already: name another one with --env-out, or replace"):
        write_env(env, place / "new.env", may_replace=False)
    assert (place / "new.env").read_text() == "mine"
    write_env(env, place / "new.env", may_replace=True)
    assert "FUTU_HOST" in (place / "new.env").read_text()
    with pytest.raises(ConfigError, match=r"--env-out /.*/gone/x can't be written: /.*/gone is not a directory"):
        write_env(env, place / "gone" / "x", may_replace=False)
    with pytest.raises(ConfigError, match=r"--env gone can't be read: No such file or directory"):
        read_env(Path("gone"), Path("data"))
    (place / "latin").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match=r"--env latin can't be read: it is not UTF-8 text"):
        read_env(Path("latin"), Path("data"))
    assert {path.name for path in place.iterdir()} == {"old.env", "new.env", "latin"}


def test_each_name_of_the_table_has_an_answer(place: Path) -> None:
    """None of them is unknown."""
    env = read(place, "".join(f"{name}=1\n" for name in OLDER))
    assert {became.name for became in env.became} == set(OLDER)
    assert not [became for became in env.became if became.fate in {"unknown", "empty"}]
