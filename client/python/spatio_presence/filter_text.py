"""Filters as text (docs/filters.md): a descent over the grammar that puts its steps behind those that are there. Bounded: 4,096 bytes of text and
64 brackets and `not` open at once."""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final, NoReturn, cast
from uuid import UUID

from . import filters as f
from .entities import ActivityState, EntityType
from .filters import Compare, Filter, FilterError
from .values import NAME_MAX, Value, name_bytes

TEXT_MAX, NESTING_MAX = 4096, 64
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w.-])", re.I | re.A)
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*", re.I)
_BARE: Final = re.compile(r"[\w.-]+", re.A)
_UNITS: Final = {"ms": 1, "s": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TYPES: Final = {"static": EntityType.STATIC, "mobile": EntityType.MOBILE, "temporary": EntityType.TEMPORARY,
                 "recurring": EntityType.RECURRING, "custom": EntityType.CUSTOM}
_STATES: Final = {s.name.lower(): s for s in ActivityState}
_SPACE: Final = " \t\n\r"
_TESTS: Final = "a test (type, state, custom_type, custom_state, id, position_confidence, status_confidence, age, radius, speed, stale, tag, " \
    "activity, meta.name), not, or ("


class _Scan:
    def __init__(self, text: str):
        self.text, self.at, self.nesting = text, 0, 0

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        raise FilterError((self.at if at is None else at) + 1, expected)

    def skip(self) -> int:
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
        return self.at

    def word(self, word: str) -> bool:
        end = self.skip() + len(word)
        if self.text[self.at:end].lower() != word or re.match(r"\w", self.text[end:end + 1], re.A):
            return False
        self.at = end
        return True

    def one_of(self, words: tuple[str, ...], expected: str) -> str:
        for word in words:
            if self.word(word):
                return word
        self.fail(expected)

    def take(self, letter: str) -> bool:
        if not self.text.startswith(letter, self.skip()):
            return False
        self.at += len(letter)
        return True

    def need(self, letter: str, expected: str) -> None:
        if not self.take(letter):
            self.fail(expected)

    def compare(self) -> Compare | None:
        for sign in ("!=", "<=", ">=", "=", "<", ">"):
            if self.take(sign):
                return cast(Compare, sign)
        return None

    def need_compare(self) -> Compare:
        return self.compare() or self.fail("one of = != < <= > >=")

    def members(self, one: Callable[[], None]) -> bool:
        """`= x`, `!= x`, `in (x, y)` or `not in (x, y)`; whether it is negated."""
        expected, at = "=, !=, in or not in", self.skip()
        sign = self.compare()
        if sign:
            if sign not in ("=", "!="):
                self.fail(expected, at)
            one()
            return sign == "!="
        negated = self.word("not")
        if not self.word("in"):
            self.fail(expected, at)
        self.listed(one)
        return negated

    def listed(self, one: Callable[[], None]) -> None:
        self.need("(", "( and a list")
        one()
        while self.take(","):
            one()
        self.need(")", ", or )")

    # ---- values ------------------------------------------------------------------------------

    def number(self, expected: str) -> str:
        found = _NUMBER.match(self.text, self.skip())
        if not found or len(found[0]) > 62:
            self.fail(expected)
        self.at = found.end()
        return found[0]

    def real(self, expected: str) -> float:
        at = self.skip()
        value = float(self.number(expected))
        if not math.isfinite(value):
            self.fail(expected, at)
        return value

    def whole(self, expected: str) -> int:
        at = self.skip()
        text = self.number(expected)
        if not re.fullmatch(r"[-+]?[0-9]+", text) or not -1 << 63 <= int(text) < 1 << 63:
            self.fail(expected, at)
        return int(text)

    def quoted(self) -> str:
        self.need('"', 'a text in "quotes"')
        out: list[str] = []
        while True:
            letter = self.text[self.at:self.at + 1]
            if letter == "":
                self.fail('a " that ends the text')
            if letter == '"':
                self.at += 1
                return "".join(out)
            if letter == "\\":
                letter = self.escape()
            else:
                self.at += 1
            out.append(letter)

    def escape(self) -> str:
        kind = self.text[self.at + 1:self.at + 2]
        if kind == "x":
            digits = self.text[self.at + 2:self.at + 4]
            if not re.fullmatch(r"[0-9a-fA-F]{2}", digits) or not 1 <= int(digits, 16) <= 0x7F:
                self.fail("an escape \\x01 to \\x7F")
            self.at += 4
            return chr(int(digits, 16))
        meaning = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}.get(kind)
        if meaning is None:
            self.fail('an escape: \\" \\\\ \\n \\t \\r or \\x and two digits')
        self.at += 2
        return meaning

    def value(self) -> Value:
        at = self.skip()
        for word, meaning in (("null", None), ("true", True), ("false", False)):
            if self.word(word):
                return meaning
        if self.text.startswith('"', at):
            return self.quoted()
        if self.text[at:at + 2].lower() == 'x"':
            found = _HEX.match(self.text, at + 2)
            self.at = found.end() if found else at + 2
            if not self.text.startswith('"', self.at):
                self.fail('two hexadecimal digits, or "')
            self.at += 1
            return bytes.fromhex(found[0] if found else "")
        text = self.number('a value: null, true, false, a number, a "text" or x"bytes"')
        if re.fullmatch(r"[-+]?[0-9]+", text):
            self.at = at
            return self.whole("an integer of 64 bits (7.0 is a real number)")
        self.at = at
        return self.real("a finite number")

    def named(self) -> str:
        """A name in quotes."""
        at = self.skip()
        name = self.quoted()
        try:
            name_bytes(name)
        except ValueError:
            self.fail("a text of 1 to 32 bytes without control characters", at)
        return name

    def code(self, most: int) -> int:
        expected, at = f"a code of 0 to {most}", self.skip()
        value = self.whole(expected)
        if not 0 <= value <= most:
            self.fail(expected, at)
        return value

    def meta_name(self) -> str:
        self.need(".", ". and a name")
        if self.text.startswith('"', self.skip()):
            return self.named()
        found = _BARE.match(self.text, self.at)
        if not found:
            self.fail('a name, in "quotes" if it is more than letters, digits, _ - .')
        if len(found[0]) > NAME_MAX:
            self.fail("a name of at most 32 bytes")
        self.at = found.end()
        return found[0]

    # ---- tests -------------------------------------------------------------------------------

    def mask(self, words: dict[str, EntityType] | dict[str, ActivityState], make: Callable[[list[str]], Filter]) -> Filter:
        named: list[str] = []
        expected = ", ".join(list(words)[:-1]) + " or " + list(words)[-1]
        negated = self.members(lambda: named.append(self.one_of(tuple(words), expected)))
        return ~make(named) if negated else make(named)

    def id(self) -> Filter:
        wanted: list[UUID] = []

        def one() -> None:
            found = _UUID.match(self.text, self.skip())
            if not found or not UUID(found[0]).int:
                self.fail("an id such as 0f8fad5b-d9cb-469f-a165-70867728950e, not nil")
            self.at = found.end()
            wanted.append(UUID(found[0]))

        negated = self.members(one)
        return ~f.ids(*wanted) if negated else f.ids(*wanted)

    def name(self, make: Callable[[str], Filter]) -> Filter:
        at = self.skip()
        sign = self.compare()
        if sign not in ("=", "!="):
            self.fail("= or !=", at)
        test = make(self.named())
        return ~test if sign == "!=" else test

    def confidence(self, make: Callable[[Compare, float], Filter]) -> Filter:
        sign, at = self.need_compare(), self.skip()
        value = self.real("a number from 0 to 1")
        if not 0 <= value <= 1:
            self.fail("a number from 0 to 1", at)
        return make(sign, value)

    def age(self) -> Filter:
        expected = "a whole number with its unit: 500ms, 30s, 5min, 2h or 1d"
        sign, at = self.need_compare(), self.skip()
        value = self.whole(expected)
        for unit, ms in _UNITS.items():
            if self.word(unit):
                if not -1 << 63 <= value * ms < 1 << 63:
                    self.fail("a shorter time", at)
                return f.age_ms(sign, value * ms)
        self.fail(expected, at)

    def radius(self) -> Filter:
        sign, at = self.need_compare(), self.skip()
        if self.word("unlimited"):
            return f.radius(sign, math.inf)
        value = self.real("a length such as 100m or 2.5km, or unlimited")
        if self.word("km"):
            value *= 1000
        else:
            self.word("m")
        if not 0 <= value < math.inf:
            self.fail("a length such as 100m or 2.5km, or unlimited", at)
        return f.radius(sign, value)

    def speed(self) -> Filter:
        sign, at = self.need_compare(), self.skip()
        value = self.real("a speed such as 2.5m/s")
        if self.word("m") and not (self.take("/") and self.word("s")) or value < 0:
            self.fail("a speed such as 2.5m/s", at)
        return f.speed(sign, value)

    def meta(self) -> Filter:
        name = self.meta_name()
        if self.word("exists"):
            return f.meta_exists(name)
        at = self.skip()
        sign = self.compare()
        if sign:
            value = self.value()
            if (value is None or isinstance(value, bool)) and sign not in ("=", "!="):
                self.fail("= or !=: null, true and false have no order", at)
            return f.meta(name, sign, value)
        negated = self.word("not")
        if not self.word("in"):
            self.fail("one of = != < <= > >= in, not in, exists", at)
        values: list[Value] = []
        self.listed(lambda: values.append(self.value()))
        return ~f.meta_in(name, values) if negated else f.meta_in(name, values)

    def test(self) -> Filter:
        at = self.skip()
        try:
            return self.tested()
        except FilterError:
            raise
        except ValueError as fault:  # what the text says is well formed and too much
            raise FilterError(at + 1, str(fault)) from None

    def tested(self) -> Filter:
        if self.word("type"):
            return self.mask(_TYPES, lambda words: f.types(*(_TYPES[w] for w in words)))
        if self.word("state"):
            return self.mask(_STATES, lambda words: f.states(*(_STATES[w] for w in words)))
        if self.word("custom_type"):
            return f.custom_type(self.need_compare(), self.code(127))
        if self.word("custom_state"):
            return f.custom_state(self.need_compare(), self.code(255))
        if self.word("id"):
            return self.id()
        if self.word("position_confidence"):
            return self.confidence(f.position_confidence)
        if self.word("status_confidence"):
            return self.confidence(f.status_confidence)
        if self.word("stale"):
            return f.stale()
        if self.word("age"):
            return self.age()
        if self.word("radius"):
            return self.radius()
        if self.word("speed"):
            return self.speed()
        if self.word("tag"):
            return self.name(f.tag)
        if self.word("activity"):
            return self.name(f.activity)
        if self.word("meta"):
            return self.meta()
        self.fail(_TESTS)

    # ---- and, or, not ------------------------------------------------------------------------

    def one(self) -> Filter:
        at = self.skip()
        negated = self.word("not")
        if not negated and not self.text.startswith("(", at):
            return self.test()
        if self.nesting == NESTING_MAX:
            self.fail(f"fewer brackets and not: more than {NESTING_MAX} are open", at)
        self.nesting += 1
        if negated:
            inner = ~self.one()
        else:
            self.take("(")
            inner = self.any()
            self.need(")", "and, or, )")
        self.nesting -= 1
        return inner

    def all(self) -> Filter:
        whole = self.one()
        while self.word("and"):
            whole = whole & self.one()
        return whole

    def any(self) -> Filter:
        whole = self.all()
        while self.word("or"):
            whole = whole | self.all()
        return whole


def parse(text: str) -> Filter:
    if len(text.encode()) > TEXT_MAX or "\0" in text:
        raise FilterError(1, f"a filter of at most {TEXT_MAX} bytes")
    scan = _Scan(text)
    whole = scan.any()
    if scan.skip() < len(text):
        scan.fail("and, or, or the end")
    try:
        whole.program()
    except ValueError as fault:
        raise FilterError(1, str(fault)) from None
    return whole
