"""Names that are not settings of ours: the older recorder's are told apart from typos and from other programs'."""

from __future__ import annotations

from pathlib import Path

import pytest

from hk_tick_collector.config import NAMES, load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store.setting_names import OLDER, Fate, fault_of, is_only_older, older

PLACE = "environment"


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("FUTU_HOLIDAYS", "not needed: OpenD is asked for the exchange's calendar"),
        ("SQLITE_JOURNAL_MODE", "not needed: a day is always recorded in WAL mode"),
        ("HEALTH_FIXED_INTERVAL_SEC", "replaced by `hk-tick-collector status`, and METRICS_PORT"),
        ("MAX_QUEUE_SIZE", "replaced by JOURNAL_BUFFER_MB: what is not stored yet is in the journal on disk"),
        ("HKTC_SYMBOLS", "taken over as FUTU_SYMBOLS"),
    ],
)
def test_a_name_of_the_older_recorder_is_no_error_where_others_may_set_it(name: str, told: str) -> None:
    """It has no effect; where it stands and what became of it are told with the settings."""
    for environ, env_file, where in (({name: "1"}, "", "environment"), ({}, f"{name}=1\n", ".env (.env)")):
        Path(".env").write_text(env_file)
        loaded = load_settings(environ=environ)
        assert loaded.of_older == {name: f"({where}) {told}"}
        assert name not in loaded.origins


@pytest.mark.parametrize("name", ["TG_TOKEN", "TG_ACTION_TIMEOUT_SEC", "TELEGRAM_BOT_TOKEN", "TG_THREAD_OPS_ID"])
def test_telegram_is_answered_without_its_secrets(name: str) -> None:
    """The value is nowhere."""
    loaded = load_settings(environ={name: "123:SECRET"})
    assert loaded.of_older[name].startswith("(environment) replaced by METRICS_PORT")
    assert "SECRET" not in str(loaded)


def test_where_every_name_must_be_ours_it_is_an_error() -> None:
    """On the command line and in a TOML file, with the same answer."""
    expected = (
        r"unknown setting futu_holidays \(TOML \(a\.toml\)\): the older recorder \(futu_tick_downloader\) had it; not "
        r"needed: OpenD is asked for the exchange's calendar; remove it"
    )
    Path("a.toml").write_text("futu_holidays = '20261225'")
    with pytest.raises(ConfigError, match=expected.replace("futu_holidays", "FUTU_HOLIDAYS")):
        load_settings(config_path=Path("a.toml"), environ={})
    assert fault_of("TG_TOKEN", "x", "command line", NAMES, is_closed=True) is not None


def test_a_value_that_was_chosen_for_the_older_recorder_is_pointed_out() -> None:
    """If it stands in the same place as one that only that recorder has; it is in force all the same."""
    Path(".env").write_text("BACKFILL_N=0\nFUTU_PORT=11112\nTG_ENABLED=1\n")
    loaded = load_settings(environ={"BATCH_SIZE": "500"})
    assert loaded.of_older.keys() == {"TG_ENABLED", "BACKFILL_N"}
    assert loaded.of_older["BACKFILL_N"] == (
        "(.env (.env)) in force, and better left out: less than 1000 leaves holes after an outage"
    )
    assert (loaded.settings.backfill_n, loaded.settings.batch_size) == (0, 500)


def test_names_of_others_stay_theirs() -> None:
    """Those of the older recorder's scripts are too common to be warned about; ours are in force as ever."""
    for name in ("SSH_HOST", "SERVICE_NAME", "TG_OTHER", "HEALTH_CHECK", "GAP"):
        assert load_settings(environ={name: "1"}).of_older == {}
    loaded = load_settings(environ={"BATCH_SIZE": "500", "LOG_LEVEL": "DEBUG"})
    assert (loaded.of_older, loaded.settings.batch_size) == ({}, 500)
    assert not is_only_older("BATCH_SIZE", NAMES)


def test_a_typo_is_still_a_typo() -> None:
    """Also one near a name of the older recorder."""
    with pytest.raises(ConfigError, match="unknown setting FUTU_HOLIDAY "):
        load_settings(environ={"FUTU_HOLIDAY": "1"})


def test_the_table_knows_which_of_its_names_are_ours() -> None:
    """What is taken over or has a default here is a setting here; what is not needed or replaced is none."""
    for name, told in OLDER.items():
        if told.fate is Fate.TAKEN:
            assert told.why in NAMES, name
        elif told.fate is Fate.DEFAULT:
            assert name in NAMES
        else:
            assert name not in NAMES or name == "DATA_ROOT"
    assert older("TG_X") is None
