"""Values of Python as text that is the same for the same value, whichever engine it came from."""

import datetime
import decimal
import enum
import json
import uuid


def canonical(value):
    """A value that `json` takes, and that tells types apart."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, enum.Enum):
        return ["enum", value.name]
    if isinstance(value, int):
        return ["number", str(value)]
    if isinstance(value, float):
        return ["number", _float(value)]
    if isinstance(value, decimal.Decimal):
        # How many zeros there are behind it is a matter of the engine.
        return ["decimal", format(value.normalize(), "f")]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, (dict, list, tuple)):
        return _document(value)
    return _time(value)


def _float(value):
    # PostgreSQL's jsonb has no floats, so that 1e20 comes back as an integer.
    return str(int(value)) if value.is_integer() and abs(value) < 1e22 else repr(value)


def _document(value):
    if isinstance(value, dict):
        return ["object", sorted([key, canonical(item)] for key, item in value.items())]
    return ["array", [canonical(item) for item in value]]


def _time(value):
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return ["datetime", value.isoformat()]
        return ["instant", value.astimezone(datetime.timezone.utc).isoformat()]
    if isinstance(value, datetime.timedelta):
        return ["duration", [value.days, value.seconds, value.microseconds]]
    if isinstance(value, (datetime.date, datetime.time)):
        return [type(value).__name__, value.isoformat()]
    if isinstance(value, uuid.UUID):
        return ["uuid", str(value)]
    raise TypeError(f"no canonical form of {type(value).__name__}")


def dump(tables):
    """A line of JSON with every row of every table, sorted."""
    rows = {name: [[canonical(value) for value in row] for row in table] for name, table in tables.items()}
    for table in rows.values():
        table.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return json.dumps(rows, sort_keys=True)
