"""`config`: what the recorder would run with, and where each value came from. Reads settings; changes nothing."""

import json
import sys
from typing import Final

from hk_tick_collector.cli.options import AsJson, ConfigFile, EnvFile
from hk_tick_collector.config import LoadedSettings, Settings, display_value, load_settings
from hk_tick_collector.store.setting_names import OLDER_RECORDER

_PIPE_COLUMNS: Final = 10_000
"""Width where there is no terminal: a row is one line, for grep and awk."""

_VALUE_CHARS_MAX: Final = 60
"""A list of 900 symbols would bury the table; `--json` has it whole."""


def config_command(
    *,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting: its value, where the value came from, and what it does.

    Values come from the command line, the environment, .env, a TOML file or the default, in this order.
    """
    loaded = load_settings(config_path=config, env_file=env_file)
    for name, became in loaded.of_older.items():
        sys.stderr.write(f"warning: {name} {became}\n")
    if loaded.of_older:
        sys.stderr.write(
            f"warning: these are settings of {OLDER_RECORDER}; hk-tick-collector migrate --env FILE writes a clean "
            "file\n"
        )
    if as_json:
        sys.stdout.write(json.dumps(_rows(loaded), indent=2, ensure_ascii=False) + "\n")
    else:
        _print_table(_rows(loaded))


def _rows(loaded: LoadedSettings) -> dict[str, dict[str, str]]:
    rows = {}
    for field, info in Settings.model_fields.items():
        name = field.upper()
        default = info.get_default(call_default_factory=True, validated_data={})
        rows[name] = {
            "value": display_value(name, getattr(loaded.settings, field)),
            "origin": loaded.origins[name],
            "default": display_value(name, default),
            "description": info.description or "",
        }
    return rows


def _print_table(rows: dict[str, dict[str, str]]) -> None:
    from rich import box  # noqa: PLC0415 - rich is slow to import, and the recorder never needs it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_COLUMNS)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    table.add_column("what it does")
    for name, row in rows.items():
        is_default = row["origin"] == "default"
        value = row["value"] if len(row["value"]) <= _VALUE_CHARS_MAX else row["value"][:_VALUE_CHARS_MAX] + "…"
        table.add_row(
            Text(name),
            Text(value, style="" if is_default else "bold cyan"),
            Text(row["origin"]),
            Text(row["description"]),
            style="dim" if is_default else "",
        )
    console.print(table)
