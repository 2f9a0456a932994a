"""The options that several commands have, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[str | None, typer.Option(help="Overrides DATA_ROOT.")]
ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with settings.")]
EnvFile = Annotated[Path | None, typer.Option(help="File with NAME=value lines, instead of .env.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
