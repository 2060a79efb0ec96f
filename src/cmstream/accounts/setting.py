"""The kinds of settings an account can have: a choice, yes or no, a list of names.

A kind knows how a value is checked, stored, described in JSON Schema, read from text
and put into words. Which settings there are stands in :mod:`.account_settings`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from . import values
from .errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Schema = dict[str, Any]


class Option(NamedTuple):
    """A value as a form offers it. ``short``: what stands beside the label in a summary."""

    value: str
    label: str
    hint: str = ""
    short: str = ""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every kind of setting has.

    ``default``: a new account's value. ``help``: one sentence, for the API and the command.
    ``label``: what stands before its value in a summary. ``legend`` and ``hint``: what stands above
    it in a form. ``options``: what the form offers; a setting without them isn't in the form.
    ``administrators``: only administrators change it. ``many``: it is a list. ``own_table``: each
    of a list is a row of a table of its own, so that the database lets one account alone have it.
    ``name``: the list of settings fills it in.
    """

    default: Any
    help: str
    label: str
    legend: str = ""
    hint: str = ""
    options: tuple[Option, ...] = ()
    administrators: bool = False
    many: bool = False
    own_table: bool = False
    name: str = ""

    def check(self, value: Any) -> Any:
        """The value in its canonical form. Raises Invalid."""
        raise NotImplementedError

    def store(self, value: Any) -> Any:
        """The value as its column has it."""
        return value

    def load(self, stored: Any) -> Any:
        """The value of what its column has."""
        return stored

    def schema(self) -> Schema:
        """Its JSON Schema, 2020-12."""
        raise NotImplementedError

    def texts(self, value: Any) -> list[str]:
        """The value as a form or a command writes it."""
        raise NotImplementedError

    def read(self, texts: Sequence[str]) -> Any:
        """The value of such texts, before it is checked."""
        raise NotImplementedError

    @property
    def words(self) -> Sequence[str]:
        """The texts that a command's option takes; none if they are free."""
        return ()

    def say(self, value: Any) -> str:
        """The value in words for people."""
        raise NotImplementedError

    def _invalid(self, wanted: str) -> Invalid:
        return Invalid("invalid-setting", f"{self.name}: {wanted}")


@dataclass(frozen=True, kw_only=True)
class Choice(Setting):
    """One of several names. ``none``: what None means, in words; empty if None isn't allowed."""

    choices: tuple[str, ...]
    none: str = ""

    def check(self, value: Any) -> str | None:
        if value in self.choices or (value is None and self.none):
            return None if value is None else str(value)
        known = ", ".join([*self.choices, *(["or none"] if self.none else [])])
        raise self._invalid(f"choose one of {known}")

    def schema(self) -> Schema:
        if not self.none:
            return {"type": "string", "enum": list(self.choices), "description": self.help}
        text = f"{self.help} Null: {self.none}."
        return {"type": ["string", "null"], "enum": [*self.choices, None], "description": text}

    def texts(self, value: Any) -> list[str]:
        return [] if value is None else [value]

    def read(self, texts: Sequence[str]) -> str | None:
        return texts[0].strip() if texts else None

    @property
    def words(self) -> Sequence[str]:
        return self.choices

    def say(self, value: Any) -> str:
        if value is None:
            return self.none
        return next((one.short or one.label for one in self.options if one.value == value), value)


@dataclass(frozen=True, kw_only=True)
class Flag(Setting):
    """Yes or no. ``yes`` and ``no``: what each means, in words."""

    yes: str
    no: str

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._invalid("true or false")
        return value

    def load(self, stored: Any) -> bool:
        return bool(stored)  # SQLite has a number

    def schema(self) -> Schema:
        return {"type": "boolean", "description": self.help}

    def texts(self, value: Any) -> list[str]:
        return ["yes" if value else "no"]

    def read(self, texts: Sequence[str]) -> bool:
        return "yes" in texts

    @property
    def words(self) -> Sequence[str]:
        return ("yes", "no")

    def say(self, value: Any) -> str:
        return self.yes if value else self.no


@dataclass(frozen=True, kw_only=True)
class Names(Setting):
    """A list of names, each once. ``canonical``: the one form of a name. ``ordered``: whether they
    stay in the order in which they were given. ``longest``: the most characters of a name."""

    canonical: Callable[[str], str]
    longest: int = values.MAX_TEXT
    ordered: bool = False
    many: bool = True
    default: Any = ()

    def check(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise self._invalid("a list of texts")
        members = list(value)
        if len(members) > values.MAX_NAMES or not all(isinstance(one, str) for one in members):
            raise self._invalid(f"a list of at most {values.MAX_NAMES} texts")
        names = tuple(dict.fromkeys(self.canonical(one) for one in members))
        return names if self.ordered else tuple(sorted(names))

    def store(self, value: Any) -> str:
        return json.dumps(value)

    def load(self, stored: Any) -> tuple[str, ...]:
        return tuple(json.loads(stored))

    def schema(self) -> Schema:
        items = {"type": "string", "maxLength": self.longest}
        return {
            "type": "array",
            "items": items,
            "maxItems": values.MAX_NAMES,
            "description": self.help,
        }

    def texts(self, value: Any) -> list[str]:
        return list(value)

    def read(self, texts: Sequence[str]) -> list[str]:
        lines = [line.strip() for text in texts for line in text.splitlines()]
        return [line for line in lines if line]

    def say(self, value: Any) -> str:
        labels = {one.value: one.label for one in self.options}
        return ", ".join(labels.get(one, one) for one in value) or "none"
