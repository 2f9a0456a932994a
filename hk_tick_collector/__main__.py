"""`python -m hk_tick_collector`: the command line, where the program's own name is not on the PATH."""

from hk_tick_collector.cli.app import entry

if __name__ == "__main__":
    entry()
