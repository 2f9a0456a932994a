"""The spelling of a symbol: market and code to `HK.00700` and back.

Owns which codes are valid names. A list from OpenD never raises: `symbols_of` counts the codes that can't be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import BadTickError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.opend import opend_pb2 as pb

CODE_MAX: Final = 64  # characters; the longest codes (of options) have about twenty

_PREFIX_OF_MARKET = {1: "HK", 11: "US", 21: "SH", 22: "SZ", 31: "SG", 41: "JP", 51: "AU", 61: "MY", 71: "CA"}
_MARKET_OF_PREFIX = {prefix: market for market, prefix in _PREFIX_OF_MARKET.items()}


def symbol_of(market: int, code: str) -> str:
    """(1, '00700') → 'HK.00700'.

    Raises:
        BadTickError: a market that the protocol does not name, or an invalid code.
    """
    prefix = _PREFIX_OF_MARKET.get(market)
    if prefix is None or not is_code(code):
        raise BadTickError(
            f"security with market {market} and code {code[:CODE_MAX]!r}, expected a known market and a code"
        )
    return f"{prefix}.{code}"


def security_of(symbol: str) -> tuple[int, str]:
    """'HK.00700' → (1, '00700').

    Raises:
        ValueError: not of that form.
    """
    prefix, _, code = symbol.partition(".")
    if prefix not in _MARKET_OF_PREFIX or not code:
        raise ValueError(f"symbol {symbol!r}, expected a form like HK.00700")
    return _MARKET_OF_PREFIX[prefix], code


def is_code(code: str) -> bool:
    """Whether an exchange could have written this code, which becomes a name in logs, files and tables."""
    is_text = isinstance(code, str)  # protobuf gives bytes for what is not UTF-8
    return is_text and 0 < len(code) <= CODE_MAX and code.isascii() and code.isprintable()


def symbols_of(securities: Iterable[pb.Security]) -> tuple[list[str], int]:
    """The readable symbols, and how many codes of known markets are not: such a code must not end a session."""
    known = [security for security in securities if security.market in _PREFIX_OF_MARKET]
    symbols = [symbol_of(security.market, security.code) for security in known if is_code(security.code)]
    return symbols, len(known) - len(symbols)
