"""Dataclasses to JSON objects and back: messages between processes, with types on both ends.

Owns how tolerant the reader is. A field that is missing, or has a value of another type, gets its default; an unknown
field is ignored. So a file or a line of an older or newer version can be read, and nothing in it can raise. Every field
of such a dataclass must therefore have a default. A field made by `flat` is a dataclass whose own fields are put into
the enclosing object; a field made by `sparse` is left out while it has its default.

Types: bool, int, float, str, each with or without None; dict[str, str]; tuple[str, ...]; dataclasses, with or without
None; tuples of dataclasses. Numbers that are not finite count as missing.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Read = Callable[[Any], Any]  # a JSON value → a value of the field's type, or `_UNFIT` if it has another type
_UNFIT = object()
_FLOAT_MAX = sys.float_info.max


def flat(made: type[T]) -> T:
    """A field whose own fields are put into the enclosing object."""
    made_field: T = field(default_factory=made, metadata={"is_flat": True})
    return made_field


def sparse(default: T) -> T:
    """A field that is left out of the object while it has its default."""
    made_field: T = field(default=default, metadata={"is_sparse": True})
    return made_field


def encode(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """The JSON object of a dataclass, with all fields except `sparse` ones at their default."""
    told: dict[str, Any] = {}
    for each in fields(value):
        found = getattr(value, each.name)
        if each.metadata.get("is_sparse") and found == each.default:
            continue
        if each.metadata.get("is_flat"):
            told.update(encode(found))
        else:
            told[each.name] = _encoded(found)
    return told


def decode(made: type[T], told: object) -> T:
    """The dataclass from a JSON object; anything else gives one with its defaults."""
    values = told if isinstance(told, dict) else {}
    kind: Any = made
    found: dict[str, Any] = {}
    for name, read, is_flat in _readers(kind):
        value = read(values) if is_flat else read(values[name]) if name in values else _UNFIT
        if value is not _UNFIT:
            found[name] = value
    return made(**found)


def _encoded(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    if is_dataclass(value):
        return encode(value)
    if isinstance(value, tuple | list):
        return [_encoded(one) for one in value]
    return value


@cache
def _readers(made: Any) -> list[tuple[str, _Read, bool]]:  # noqa: ANN401 - a dataclass; its type is in `decode`
    hints = get_type_hints(made)
    for each in fields(made):
        assert _has_default(each), f"{made.__name__}.{each.name} has no default"
    return [(each.name, _reader(hints[each.name]), bool(each.metadata.get("is_flat"))) for each in fields(made)]


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _reader(hint: Any) -> _Read:  # noqa: ANN401 - a type as `get_type_hints` gives it
    if get_origin(hint) in {Union, types.UnionType}:
        inner = [one for one in get_args(hint) if one is not type(None)]
        assert len(inner) == 1, f"{hint} has no reader"
        read = _reader(inner[0])
        return lambda value: None if value is None else read(value)
    if get_origin(hint) is tuple:
        return _tuple_reader(_reader(get_args(hint)[0]))
    if get_origin(hint) is dict:
        return _texts
    if is_dataclass(hint):
        made: Any = hint
        return lambda value: decode(made, value) if isinstance(value, dict) else _UNFIT
    return _SCALARS[hint]


def _tuple_reader(read: _Read) -> _Read:
    def read_all(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
        if not isinstance(value, list | tuple):
            return _UNFIT
        found = (read(one) for one in value)
        return tuple(one for one in found if one is not _UNFIT)

    return read_all


def _number(value: Any) -> Any:  # noqa: ANN401
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and -_FLOAT_MAX <= value <= _FLOAT_MAX else _UNFIT  # `isfinite` fails for huge integers


def _whole(value: Any) -> Any:  # noqa: ANN401
    number = _number(value)
    return number if number is _UNFIT else int(number)


def _texts(value: Any) -> Any:  # noqa: ANN401
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else _UNFIT


def _only(kind: type[Any]) -> _Read:
    return lambda value: value if isinstance(value, kind) else _UNFIT


_SCALARS: dict[Any, _Read] = {bool: _only(bool), int: _whole, float: _number, str: _only(str)}
