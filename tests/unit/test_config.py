"""Settings: every source, every limit, and one line for every fault of the operator's."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from hk_tick_collector import config
from hk_tick_collector.config import NAMES, Settings, display_value, load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.symbols import FILE_BYTES_MAX, SymbolSpec

EXAMPLE = Path(__file__).parents[2] / "deploy" / "hk-tick-collector.env.example"


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fault(**environ: str) -> str:
    """The one line with which this environment is refused."""
    return fault_of(lambda: load_settings(environ=environ))


def fault_of(act: Callable[[], object]) -> str:
    """The one line with which this is refused."""
    with pytest.raises(ConfigError) as caught:
        act()
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_nothing_set_gives_every_default() -> None:
    """Without any source each setting has its documented default, and says so."""
    settings, origins, _ = load_settings(environ={})
    assert (settings.futu_host, settings.futu_port, settings.data_root) == ("127.0.0.1", 11111, Path("data"))
    assert (settings.batch_size, settings.max_wait_ms, settings.sqlite_synchronous) == (20000, 100, "FULL")
    assert settings.futu_rsa_key_file is None
    assert set(origins) == set(NAMES)
    assert set(origins.values()) == {"default"}


def test_precedence_is_command_line_environment_env_file_toml_default(tmp_path: Path) -> None:
    """Each source wins over those below it, and the origin names the winner."""
    toml, env = tmp_path / "a.toml", tmp_path / "b.env"
    toml.write_text("batch_size = 1\nmax_wait_ms = 11\nBACKFILL_N = 1\nfutu_port = 1\n")
    env.write_text("BATCH_SIZE=2\nMAX_WAIT_MS=12\nBACKFILL_N=2\n")
    settings, origins, _ = load_settings(
        config_path=toml,
        env_file=env,
        environ={"BATCH_SIZE": "3", "MAX_WAIT_MS": "13"},
        overrides={"batch_size": "4"},
    )
    assert (settings.batch_size, settings.max_wait_ms, settings.backfill_n, settings.futu_port) == (4, 13, 2, 1)
    assert origins["BATCH_SIZE"] == "command line"
    assert origins["MAX_WAIT_MS"] == "environment"
    assert origins["BACKFILL_N"] == f".env ({env})"
    assert origins["FUTU_PORT"] == f"TOML ({toml})"
    assert origins["FUTU_HOST"] == "default"


def test_files_in_the_working_directory_are_found(tmp_path: Path) -> None:
    """`.env` and `hk-tick-collector.toml` are read from the working directory without being named."""
    (tmp_path / ".env").write_text("export FUTU_PORT='222'  # OpenD\n")
    (tmp_path / "hk-tick-collector.toml").write_text('log_level = "debug"\nfutu_poll_enabled = false\n')
    settings, origins, _ = load_settings(environ={})
    assert (settings.futu_port, settings.log_level, settings.futu_poll_enabled) == (222, "DEBUG", False)
    assert (origins["FUTU_PORT"], origins["LOG_LEVEL"]) == (".env (.env)", "TOML (hk-tick-collector.toml)")


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_config_name_leads_to_the_toml_file(tmp_path: Path, where: str) -> None:
    """HK_TICK_CONFIG names the TOML file, from the environment as from `.env`; an option wins over it."""
    (tmp_path / "x.toml").write_text("batch_size = 7\n")
    (tmp_path / "y.toml").write_text("batch_size = 8\n")
    (tmp_path / ".env").write_text("HK_TICK_CONFIG=x.toml\n" if where == ".env" else "")
    environ = {"HK_TICK_CONFIG": "x.toml"} if where == "environment" else {}
    assert load_settings(environ=environ).settings.batch_size == 7
    assert load_settings(environ=environ, config_path=Path("y.toml")).settings.batch_size == 8


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    """`NAME=` leaves the setting to the sources below and to the default."""
    (tmp_path / ".env").write_text("BATCH_SIZE=5\nFUTU_RSA_KEY_FILE=\n")
    settings, origins, _ = load_settings(environ={"BATCH_SIZE": "  ", "FUTU_PORT": ""})
    assert (settings.batch_size, settings.futu_port, settings.futu_rsa_key_file) == (5, 11111, None)
    assert origins["BATCH_SIZE"] == ".env (.env)"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `environ` the process's own environment is read."""
    monkeypatch.setenv("BATCH_SIZE", "9")
    assert load_settings().settings.batch_size == 9


def test_settings_never_change() -> None:
    """An attribute of loaded settings can't be set."""
    settings = load_settings(environ={}).settings
    with pytest.raises(ValidationError):
        settings.batch_size = 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("FUTU_PORT", "abc", "expected a whole number from 1 to 65535, such as 11111"),
        ("FUTU_PORT", "0", "expected a whole number from 1 to 65535, such as 11111"),
        ("BATCH_SIZE", "200001", "expected a whole number from 1 to 200000, such as 20000"),
        ("BATCH_SIZE", "true", "expected a whole number from 1 to 200000, such as 20000"),
        ("FUTU_DEAD_LINK_SEC", "10", "expected a number from 11 to 600, such as 25"),
        ("DRIFT_WARN_SEC", "nan", "expected a number from 1 to 86400, such as 120"),
        ("DRIFT_WARN_SEC", "inf", "expected a number from 1 to 86400, such as 120"),
        ("SQLITE_BUSY_TIMEOUT_MS", "999", "expected a whole number from 1000 to 600000, such as 5000"),
        ("SQLITE_SYNCHRONOUS", "OFF", "expected one of NORMAL, FULL, EXTRA"),
        ("FUTU_ENCRYPTION", "rot13", "expected one of none, ftaes_ecb, aes_ecb, aes_cbc"),
        ("LOG_LEVEL", "chatty", "expected one of DEBUG, INFO, WARNING, ERROR"),
        ("FUTU_POLL_ENABLED", "maybe", "expected true or false"),
        (
            "FUTU_HOST",
            "127.0.0.1:11111",
            "expected a host name or an address alone, such as 127.0.0.1, without the port",
        ),
        ("INSTANCE_ID", "a b", "expected 1 to 64 of A-Z a-z 0-9 . _ - , such as hk-recorder-1"),
        ("DATA_ROOT", "a\x07b", "it holds characters that can't be printed, expected a path"),
        ("DATA_ROOT", "~no-such-user/x", "Could not determine home directory., expected a path in full"),
    ],
)
def test_a_wrong_value_says_what_was_seen_expected_and_where(name: str, value: str, expected: str) -> None:
    """One line: name, value, origin, and what would be right."""
    assert fault(**{name: value}) == f"{name}={value!r} (environment): {expected}"


def test_undecodable_bytes_are_refused() -> None:
    """Bytes that are not UTF-8 reach us as surrogates; the message can still be printed."""
    assert fault(BATCH_SIZE="\udcff").startswith("BATCH_SIZE='\\udcff' (environment): expected a whole number")
    assert "'\\udcff' is not a stock code" in fault(FUTU_SYMBOLS="\udcff")


def test_a_long_value_is_cut_in_the_message() -> None:
    """A message stays a line one can read."""
    assert len(fault(BATCH_SIZE="9" * 5000)) < 200


@pytest.mark.parametrize(
    ("least", "most"),
    [
        ("RECONNECT_MIN_DELAY", "RECONNECT_MAX_DELAY"),
        ("PERSIST_RETRY_BACKOFF_SEC", "PERSIST_RETRY_BACKOFF_MAX_SEC"),
    ],
)
def test_a_most_below_its_least_is_refused(least: str, most: str) -> None:
    """The longest delay can't be shorter than the first, whichever of the two was set."""
    message = f"{most}='5' (environment): expected at least {least}=70 (environment)"
    assert fault(**{least: "70", most: "5"}) == message
    assert f"(default): expected at least {least}=70 (environment)" in fault(**{least: "70"})


def test_several_faults_are_told_at_once() -> None:
    """All that is wrong stands in one line, so that the operator mends it in one go."""
    assert fault(FUTU_SYMBOL="HK.00700", FUTU_PORT="x", LOG_LEVEL="y") == (
        "unknown setting FUTU_SYMBOL (environment): did you mean FUTU_SYMBOLS?; "
        "FUTU_PORT='x' (environment): expected a whole number from 1 to 65535, such as 11111; "
        "LOG_LEVEL='y' (environment): expected one of DEBUG, INFO, WARNING, ERROR"
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FUTU_SYMBOL", "FUTU_SYMBOLS"),
        ("futu_host", "FUTU_HOST"),
        ("batch_size", "BATCH_SIZE"),
        ("FUT_SYMBOLS", "FUTU_SYMBOLS"),
        ("BATCH_SIZES", "BATCH_SIZE"),
        ("MAX_WAIT_SEC", "MAX_WAIT_MS"),
        ("DATA_ROOTS", "DATA_ROOT"),
        ("WATCHDOG_STALL_SECS", "WATCHDOG_STALL_SEC"),
        ("HK_TICK_CONFIGS", "HK_TICK_CONFIG"),
    ],
)
def test_a_slip_in_a_name_names_the_nearest(tmp_path: Path, name: str, nearest: str) -> None:
    """A variable that is nearly ours is an error, in the environment and in `.env`."""
    message = f"unknown setting {name} ({{}}): did you mean {nearest}?"
    assert fault(**{name: "1"}) == message.format("environment")
    (tmp_path / ".env").write_text(f"{name}=1\n")
    assert fault() == message.format(".env (.env)")


def test_a_name_of_ours_that_is_like_none_is_still_refused() -> None:
    """Our prefix alone makes a name ours."""
    assert fault(PERSIST_XQ="1").startswith("unknown setting PERSIST_XQ (environment): remove it")


@pytest.mark.parametrize(
    "name",
    [
        *("JOURNAL_STREAM", "WATCHDOG_USEC", "WATCHDOG_PID", "SQLITE_HISTORY", "SQLITE_TMPDIR"),
        *("METRICS_SERVICE_HOST", "METRICS_SERVICE_PORT_HTTP", "METRICS_PORT_9090_TCP_ADDR", "FUTU_OPEND_PORT"),
        *(
            "FUTU_ACCOUNT_PWD",
            "FUTU_TRD_ENV",
            "LOGLEVEL",
            "LOG_LEVELS",
            "BATCH_ID",
            "MAX_SIZE",
            "DATA_DIR",
            "log_level",
        ),
        *("INSTANCE_IDS", "SEED", "PATH"),
    ],
)
def test_names_of_other_programs_are_left_alone(tmp_path: Path, name: str) -> None:
    """What systemd, Kubernetes, SQLite, OpenD's container and others set does not stop the recorder."""
    (tmp_path / ".env").write_text(f"{name}=something\n")
    assert set(load_settings(environ={name: "something"}).origins.values()) == {"default"}


def test_a_service_link_is_left_alone() -> None:
    """Kubernetes gives a service named futu-gateway a variable with our prefix."""
    load_settings(environ={"FUTU_GATEWAY_PORT": "tcp://10.0.0.1:11111"})


@pytest.mark.parametrize("key", ["theme", "FUTU_OPEND_PORT", "hk_tick_config"])
def test_toml_and_command_line_are_ours_alone(tmp_path: Path, key: str) -> None:
    """There every unknown name is an error."""
    (tmp_path / "a.toml").write_text(f'{key} = "x"\n')
    message = fault_of(lambda: load_settings(config_path=Path("a.toml"), environ={}))
    assert message.startswith(f"unknown setting {key.upper()} (TOML (a.toml)): ")
    message = fault_of(lambda: load_settings(overrides={key: "x"}, environ={}))
    assert message.startswith(f"unknown setting {key} (command line): ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch_size = ", "'a.toml' is not valid TOML: Invalid value"),
        ("batch_size = 1\nBATCH_SIZE = 2", "BATCH_SIZE (TOML (a.toml)) is set twice, in upper and lower case"),
        ("batch_size = true", "BATCH_SIZE='true' (TOML (a.toml)): expected a whole number"),
        ("batch_size = 1.5", "BATCH_SIZE='1.5' (TOML (a.toml)): expected a whole number"),
        ("batch_size = [1]", "BATCH_SIZE (TOML (a.toml)) is a list: expected a string, a number, true or false"),
        ("[batch_size]\na = 1", "BATCH_SIZE (TOML (a.toml)) is a dict: expected a string"),
        ("log_level = 2024-01-02", "LOG_LEVEL (TOML (a.toml)) is a date: expected a string"),
        ("[futu]\nhost = 1", "unknown setting FUTU (TOML (a.toml))"),
    ],
)
def test_a_bad_toml_file_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    """Malformed TOML, and TOML values that no setting can have, name the file and the key."""
    (tmp_path / "a.toml").write_text(text)
    assert expected in fault_of(lambda: load_settings(config_path=Path("a.toml"), environ={}))


def test_toml_takes_a_list_of_symbols(tmp_path: Path) -> None:
    """A TOML array is the natural way to write codes there."""
    (tmp_path / "a.toml").write_text('futu_symbols = ["HK.00700", "plate:HK.BK1910"]\n')
    settings = load_settings(config_path=Path("a.toml"), environ={}).settings
    assert settings.require_symbols() == SymbolSpec(("HK.00700",), ("HK.BK1910",))


@pytest.mark.parametrize("line", ["FUTU_HOST", "FUTU_HOST='open", "= secret-1"])
def test_a_malformed_env_file_names_the_line_and_not_its_content(tmp_path: Path, line: str) -> None:
    """The line number is told; the text is not, for it may be a secret."""
    (tmp_path / ".env").write_text(f"# first\n{line}\n")
    assert fault() == "'.env' line 2: expected NAME=value, a comment or nothing"


def test_env_file_text_is_taken_as_it_is(tmp_path: Path) -> None:
    """No `${NAME}` is replaced: the same file means the same to systemd."""
    (tmp_path / ".env").write_text("\ufeffDATA_ROOT=/srv/${HOME}\nUNKNOWN\nother=1\n", encoding="utf-8")
    assert load_settings(environ={"HOME": "/root"}).settings.data_root == Path("/srv/${HOME}")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """A file that was asked for and can't be read is one line, never silently skipped."""
    expected = "cannot read settings file 'gone': No such file or directory; check the path, or leave it out"
    assert fault_of(lambda: load_settings(config_path=Path("gone"), environ={})) == expected
    assert fault_of(lambda: load_settings(env_file=Path("gone"), environ={})) == expected
    assert fault(HK_TICK_CONFIG="gone") == expected
    assert "Is a directory" in fault_of(lambda: load_settings(env_file=tmp_path, environ={}))
    assert "Not a directory" in fault_of(lambda: load_settings(env_file=Path("/dev/null/x"), environ={}))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"\xff", "not UTF-8"), (b"#" * (FILE_BYTES_MAX + 1), f"larger than {FILE_BYTES_MAX}")]
)
def test_a_file_that_is_no_settings_file_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    """A binary file, or one without end, is refused by its name."""
    (tmp_path / "x").write_bytes(content)
    message = fault_of(lambda: load_settings(env_file=Path("x"), environ={}))
    assert message.startswith("cannot read settings file 'x': it is ")
    assert reason in message


def test_a_virtual_environment_called_dot_env_is_no_env_file(tmp_path: Path) -> None:
    """A directory `.env` that nobody named is passed over."""
    (tmp_path / ".env").mkdir()
    load_settings(environ={})


def test_values_are_taken_in_any_usual_spelling() -> None:
    """Case of names of levels and modes, spaces around, IPv6 and a home directory are understood."""
    settings = load_settings(
        environ={
            "LOG_LEVEL": "warning",
            "SQLITE_SYNCHRONOUS": "extra",
            "FUTU_ENCRYPTION": "AES_ECB",
            "FUTU_HOST": " ::1 ",
            "DATA_ROOT": "~/ticks",
            "FUTU_POLL_ENABLED": "off",
        }
    ).settings
    assert (settings.log_level, settings.sqlite_synchronous, settings.futu_encryption) == (
        "WARNING",
        "EXTRA",
        "aes_ecb",
    )
    assert (settings.futu_host, settings.data_root) == ("::1", Path.home() / "ticks")
    assert settings.futu_poll_enabled is False


def test_symbols_are_checked_at_loading_and_files_only_when_required(tmp_path: Path) -> None:
    """A wrong code is told at once; a symbol file is no business of a command that records nothing."""
    assert "is not a stock code" in fault(FUTU_SYMBOLS="HK.7OO")
    assert "did you mean plate:HK.BK1910?" in fault(FUTU_SYMBOLS="BK1910")
    settings = load_settings(environ={"FUTU_SYMBOLS": "@list.txt"}).settings
    message = fault_of(settings.require_symbols)
    assert message.startswith("FUTU_SYMBOLS (environment): cannot read file 'list.txt': No such file or directory")
    (tmp_path / "list.txt").write_text("HK.00700\n")
    assert settings.require_symbols() == SymbolSpec(("HK.00700",))


def test_a_key_in_place_of_its_path_is_never_shown() -> None:
    """Somebody pastes the private key itself: it is refused, and no letter of it reaches the log."""
    message = fault(FUTU_RSA_KEY_FILE="-----BEGIN RSA PRIVATE KEY-----\nMIICXAIBAAKB\n")
    assert message.startswith("FUTU_RSA_KEY_FILE=••• (environment): this is a key itself")
    assert "MIIC" not in message


def test_the_key_file_is_proven_when_required(tmp_path: Path) -> None:
    """No key is None; one that is missing or no file is one line; a good one is its path."""
    assert load_settings(environ={}).settings.require_rsa_key_file() is None
    key = tmp_path / "rsa.pem"
    settings = load_settings(environ={"FUTU_RSA_KEY_FILE": str(key)}).settings
    assert fault_of(settings.require_rsa_key_file) == (
        f"FUTU_RSA_KEY_FILE={str(key)!r} (environment): expected a key file that this user can read, "
        "No such file or directory; it is the one that OpenD was given"
    )
    key.write_text("key")
    assert settings.require_rsa_key_file() == key


def test_data_root_is_made_and_proven(tmp_path: Path) -> None:
    """The directory and its parents are made, with mode 755 under a usual umask, and nothing is left in it."""
    settings = load_settings(environ={"DATA_ROOT": "a/b"}).settings
    assert not (tmp_path / "a").exists()
    assert settings.prepare_data_root() == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert (tmp_path / "a" / "b").stat().st_mode & 0o022 == 0
    assert settings.prepare_data_root() == tmp_path / "a" / "b"


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_data_root_that_is_a_file_is_one_line(tmp_path: Path, path: str) -> None:
    """A file in the way is told, and not touched."""
    (tmp_path / "file").write_text("precious")
    settings = load_settings(environ={"DATA_ROOT": path}).settings
    assert fault_of(settings.prepare_data_root) == (
        f"DATA_ROOT={str(tmp_path / path)!r} (environment): expected a directory that this user can write, "
        "a file is in the way; choose another"
    )
    assert (tmp_path / "file").read_text() == "precious"


def test_data_root_that_cannot_be_written_is_one_line() -> None:
    """Existing is not enough."""
    settings = load_settings(environ={"DATA_ROOT": "/proc/self"}).settings
    assert "expected a directory that this user can write" in fault_of(settings.prepare_data_root)


def test_a_secret_is_shown_neither_by_display_nor_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field named in SECRET_FIELDS renders as dots everywhere."""
    monkeypatch.setattr(config, "SECRET_FIELDS", frozenset({"INSTANCE_ID"}))
    assert display_value("INSTANCE_ID", "hunter2") == "•••"
    message = fault(INSTANCE_ID="hunter 2")
    assert message.startswith("INSTANCE_ID=••• (environment): expected")
    assert "hunter" not in message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, ""),
        (10.0, "10"),
        (0.5, "0.5"),
        (Path("/a b"), "/a b"),
        ("A\n B", "A B"),
        ("v1.0", "v1.0"),
    ],
)
def test_values_are_shown_as_an_operator_writes_them(value: object, text: str) -> None:
    """Shown values could be pasted back into an env file."""
    assert display_value("X", value) == text


def test_every_setting_has_a_description_and_a_valid_default() -> None:
    """The table of `config` and the docs are made of these; a default must pass its own limits."""
    assert all(field.description for field in Settings.model_fields.values())
    assert Settings() == Settings()


def test_the_example_file_has_every_setting_with_its_default(tmp_path: Path) -> None:
    """The example in deploy/ loads, names all settings in order, and shows the defaults."""
    lines = [line.removeprefix("#") for line in EXAMPLE.read_text("utf-8").splitlines()]
    assignments = [line for line in lines if line.partition("=")[0] in NAMES]
    assert tuple(line.partition("=")[0] for line in assignments) == NAMES
    (tmp_path / "x.env").write_text("\n".join(assignments))
    loaded = load_settings(env_file=Path("x.env"), environ={}).settings
    differing = {name for name in Settings.model_fields if getattr(loaded, name) != getattr(Settings(), name)}
    assert differing == {"futu_symbols", "data_root"}
    assert load_settings(env_file=EXAMPLE, environ={}).settings.model_dump() == loaded.model_dump()


def test_importing_stays_light() -> None:
    """The recorder imports this module: no terminal library, no SDK and no settings framework comes along."""
    code = "import sys, hk_tick_collector.config; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=dict(os.environ))
    assert not {"typer", "rich", "pydantic_settings", "futu", "asyncio", "dotenv"} & set(run.stdout.split())
