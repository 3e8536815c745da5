"""JSON in and out: strict first; only where that fails, one type-driven pass of the contract's coercions (section 1.2).

Everything a stranger may send goes through `decode`; it raises nothing but `EmptyBody` and `Undecodable`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

import msgspec

from edge.errors import Cause, EmptyBody, Undecodable
from edge.model import coercion
from edge.model.json_value import JsonValue

T = TypeVar("T")

# Nesting of objects and lists that a body may have (contract, Decision 17).
MAX_DEPTH = 100

_encoder = msgspec.json.Encoder()
encode: Callable[[Any], bytes] = _encoder.encode


_decoder: Callable[[Any], msgspec.json.Decoder[Any]] = lru_cache(maxsize=64)(msgspec.json.Decoder)


def decode(body: bytes, model: type[T], ignored: set[str] | None = None) -> T:
    """Return the body as an instance of `model`.

    Args:
        body: UTF-8 JSON; anything after the first value is ignored.
        model: A Struct, or a type such as `dict[str, JsonValue]`.
        ignored: Where given, unknown properties are dropped instead of refused, and their names added here.
    Raises:
        EmptyBody: zero bytes, or the literal null.
        Undecodable: everything else that is not JSON of this form.
    """
    if not body or body.strip() == b"null":
        raise EmptyBody("a JSON body is expected, none was given")
    check_depth(body)
    try:
        value: T = _decoder(model).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_leniently(body, model, error, ignored)
    return value


def decode_value(body: bytes) -> JsonValue:
    """Return a free JSON value, which may be null; nothing but white space may follow it.

    Raises:
        Undecodable: not JSON, or no value at all.
    """
    check_depth(body)
    try:
        return _decoder(Any).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"not JSON: {error}") from error


def check_depth(body: bytes, most: int = MAX_DEPTH) -> None:
    """Refuse what is nested deeper than `most` levels, without decoding it.

    Raises:
        Undecodable: too deep.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return
    depth = 0
    position, end = 0, len(body)
    while position < end:
        byte = body[position]
        if byte == 0x22:  # a string: brackets in it do not count
            position = _end_of_string(body, position)
        elif byte in b"[{":
            depth += 1
            if depth > most:
                raise Undecodable(f"nested deeper than {most} levels")
        elif byte in b"]}":
            depth -= 1
        position += 1


def _end_of_string(body: bytes, start: int) -> int:
    """Return the index of the quote that ends the string starting at `start`, or the end of the body."""
    position = body.find(b'"', start + 1)
    while position > 0:
        backslashes = 0
        while body[position - 1 - backslashes] == 0x5C:
            backslashes += 1
        if backslashes % 2 == 0:
            return position
        position = body.find(b'"', position + 1)
    return len(body)


def _decode_leniently(body: bytes, model: type[T], strict_error: Exception, ignored: set[str] | None) -> T:
    try:
        text = body.decode()
        value, _ = _python_decoder.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
    except (ValueError, RecursionError):
        raise Undecodable(f"not JSON: {strict_error}") from strict_error
    if value is None:
        raise EmptyBody("a JSON body is expected, null was given")
    _refuse_lone_surrogates(value)
    return as_model(value, model, ignored)


def as_model(value: JsonValue, model: type[T], ignored: set[str] | None = None) -> T:
    """Return a decoded value as an instance of `model`, with the coercions of `decode`.

    Args:
        ignored: As for `decode`.
    Raises:
        Undecodable: it is not of this form.
    """
    try:
        fitted = coercion.fit(value, model, ignored)
        return msgspec.convert(fitted, model, str_keys=True)
    except (msgspec.ValidationError, ValueError) as error:
        message = str(error)
        # The reference names the null field in an inner exception; clients look for it there.
        cause = Cause(None, f"a field that must have a value is null: {message}") if "got `null`" in message else None
        raise Undecodable(message, cause) from error


def _refuse_lone_surrogates(value: JsonValue) -> None:
    try:
        encode(value)
    except UnicodeEncodeError as error:
        raise Undecodable("not JSON: a lone surrogate in a string") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond a double")
    return number


_python_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
