"""Values that are awkward to carry, the same ones for the same seed on every machine."""

import datetime
import decimal
import math
import random
import uuid

TEXTS = [
    "", " ", "  spaces on both sides  ", "plain", "\u00fcn\u00efc\u00f6d\u00e9", "\u65e5\u672c\u8a9e",
    "\U0001f980 crab", "e\u0301 combining", "tab\tline\nreturn\r\nend", "'single' \"double\" `back`",
    "back\\slash \\N \\. \\x00", "NULL", "null", "0", "007", "1e3", "-1.50", "true", "2024-01-01",
    "\ufeffmark", "\u202eright to left", "\x01\x1f\x7f", "%s %d {} $1 ?", "; DROP TABLE t; --",
]
INTEGERS = [0, 1, -1, 7, -42, 100, 255]
FLOATS = [
    0.0, 1.0, -1.5, 0.1, 1 / 3, 1e-7, 5e-324, 1.7976931348623157e308, -2.5e15, 9007199254740993.0,
    123456789.123, math.inf, -math.inf,
]
# Floats of half the size hold these as they are.
SHORT_FLOATS = [0.0, 1.0, -1.5, 0.25, 1024.0, -457763.5, 2.0**-7]
MICROSECONDS = [0, 0, 1, 10, 500_000, 123_456, 999_999, 120_000]
DOCUMENTS = [
    {}, [], {"a": 1}, {"b": [1, 2.5, None, True, "x"], "a": {"z": {}, "": []}}, ["", "\u00fc\U0001f980", "\"\\/"],
    {"zebra": 1, "aa": 2, "b": 3, "\u00e9": 4}, [1e20, -0.5, 1e-10, 10**30, 100.0], "only text", "", True,
    {"deep": [[[[[[{"x": [None]}]]]]]]}, {"long": "x" * 3000}, {"tab\t": "line\nend \u007f"},
]
SCALAR_DOCUMENTS = [5, -1.5, 10**20]


class Values:
    """Values for a seed; each name has its own."""

    def __init__(self, seed):
        self.seed = seed

    def _random(self, name):
        return random.Random(f"{self.seed} {name}")

    def maybe(self, name, value):
        return None if self._random(f"null {name}").random() < 0.3 else value

    def flag(self, name):
        return self._random(name).random() < 0.5

    def choice(self, name, choices):
        return self._random(name).choice(choices)

    def text(self, name, limit):
        """At most so many characters, and just so many now and then."""
        draw = self._random(name)
        if draw.random() < 0.1:
            return draw.choice(["x", "\u00fc", "\U0001f980"]) * min(limit, 4000)
        return draw.choice(TEXTS)[:limit]

    def word(self, name, limit):
        """Letters of the seed's own, so that no other seed has the same."""
        tail = "".join(self._random(name).choices("abcdefghijklmnop-_", k=6))
        return f"{name}-{self.seed}-{tail}"[:limit]

    def integer(self, name, bits, least=None):
        most = 2 ** (bits - 1) - 1
        least = -most - 1 if least is None else least
        draw = self._random(name)
        number = draw.choice([draw.choice(INTEGERS), draw.randint(least, most), least, most])
        return max(least, number)

    def float(self, name):
        draw = self._random(name)
        return draw.choice([draw.choice(FLOATS), draw.uniform(-1e6, 1e6)])

    def short_float(self, name):
        return self._random(name).choice(SHORT_FLOATS)

    def decimal(self, name, digits, places):
        """SQLite keeps a decimal as a double: no more than 15 digits come back as they were."""
        draw = self._random(name)
        most = 10 ** min(digits, 15) - 1
        number = draw.choice([0, 1, -1, 10**places, most, -most, draw.randint(-most, most)])
        return decimal.Decimal(number).scaleb(-places)

    def date(self, name):
        draw = self._random(name)
        usual = datetime.date(1970, 1, 1) + datetime.timedelta(days=draw.randint(-40000, 40000))
        rare = [datetime.date(1000, 1, 1), datetime.date(9999, 12, 31), datetime.date(2024, 2, 29)]
        return draw.choice([usual, draw.choice(rare)])

    def time(self, name):
        draw = self._random(name)
        usual = datetime.time(draw.randrange(24), draw.randrange(60), draw.randrange(60), draw.choice(MICROSECONDS))
        return draw.choice([usual, datetime.time(0, 0), datetime.time(23, 59, 59, 999_999)])

    def instant(self, name):
        """With UTC as its zone."""
        draw = self._random(name)
        seconds = datetime.timedelta(seconds=draw.randint(-2_000_000_000, 7_000_000_000))
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return epoch + seconds + datetime.timedelta(microseconds=draw.choice(MICROSECONDS))

    def duration(self, name):
        draw = self._random(name)
        usual = datetime.timedelta(seconds=draw.randint(-10_000_000, 10_000_000), microseconds=draw.choice(MICROSECONDS))
        rare = [datetime.timedelta(), datetime.timedelta(microseconds=-1), datetime.timedelta(days=99_999)]
        return draw.choice([usual, draw.choice(rare)])

    def document(self, name, scalars=False):
        return self._random(name).choice(DOCUMENTS + (SCALAR_DOCUMENTS if scalars else []))

    def list(self, name, make):
        return [make(f"{name} {n}") for n in range(self._random(name).randrange(4))]

    def uuid(self, name):
        return uuid.UUID(int=self._random(name).getrandbits(128), version=4)

    def blob(self, name):
        draw = self._random(name)
        return draw.choice([b"", b"\0", bytes(range(256)), b"text", draw.randbytes(draw.randrange(2000))])

    def address(self, name):
        addresses = ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::ff00:42:8329"]
        return self._random(name).choice(addresses)
