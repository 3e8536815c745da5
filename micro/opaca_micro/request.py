"""Reading what a request asks for, and refusing what is none."""

from opaca_micro.agent import Failed
from opaca_micro.values import decode, encode

JSON = "application/json"
NO_MEMORY = "the board has not enough memory for this"
# An action may take this long, in seconds, where the caller names no limit, and with one.
USUAL_S = 30
_LONGEST_S = 3600

_KINDS = {"string": str, "boolean": bool, "number": (int, float), "integer": int, "array": list}


class Refused(Exception):
    """A request that is answered with a status and a text."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def must_be(method, expected):
    """Refuse another method than the one a path has."""
    if method != expected:
        raise Refused(405, "only " + expected)


def error_answer(status, message):
    """Make the answer that says why there is no other."""
    return status, JSON, encode({"statusCode": status, "message": message or "no reason"}).encode()


def unescaped(text):
    """Undo percent-encoding; a plus stays a plus."""
    if "%" not in text:
        return text
    pieces = text.split("%")
    read = bytearray(pieces[0].encode())
    try:
        for piece in pieces[1:]:
            if len(piece) < 2:
                raise ValueError
            read.append(int(piece[:2], 16))
            read.extend(piece[2:].encode())
        return str(read, "utf-8")
    except ValueError:
        raise Refused(400, "a path that is not escaped as it should be")


def asked(query, name):
    """Return a value of the query, empty for none."""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return unescaped(value)
    return ""


def limit_s(query):
    """Say how long the caller wants to wait, in seconds."""
    try:
        wanted_s = int(asked(query, "timeout") or -1)
    except ValueError:
        raise Refused(400, "timeout: expected a whole number")
    return min(wanted_s, _LONGEST_S) if wanted_s > 0 else USUAL_S


def object_of(body, headers):
    """Read a body that has to be a JSON object (contract, 1.2)."""
    if not body:
        raise Refused(400, "no body")
    kind = headers.get("content-type", JSON).split(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refused(415, "expected " + JSON)
    try:
        value = decode(body)
    except ValueError as error:
        raise Refused(422, str(error) or "no JSON")
    except MemoryError:
        raise Refused(413, NO_MEMORY)
    if value is None:
        raise Refused(400, "no body")
    if not isinstance(value, dict):
        raise Refused(422, "expected an object")
    return value


def fit(arguments, parameters):
    """Raise Failed where arguments do not fit what an action declares."""
    for name in arguments:
        if name not in parameters:
            raise Failed("unknown argument " + name)
    for name in parameters:
        declared = parameters[name]
        if isinstance(declared, str):
            declared = {"type": declared}
        is_required = declared.get("required", True)
        if name not in arguments:
            if is_required:
                raise Failed("missing argument " + name)
            continue
        value = arguments[name]
        kind = _KINDS.get(declared["type"])
        if kind is None or (value is None and not is_required):
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Failed("argument " + name + ": expected " + declared["type"])
