"""Places in source text where one small fault can be planted: an operator, a number, a condition, a
check or a call."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SWAPS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+",
    "*": "+", "//": "*", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "and": "or", "or": "and",
    "&&": "||", "||": "&&", "in": "not in", "not in": "in", "is": "is not", "is not": "is",
}  # fmt: skip
"""What takes the place of each operator."""


class Site(NamedTuple):
    """A stretch of a text, what it is, and what is put there instead."""

    kind: str
    begin: int
    end: int
    new: str

    def planted(self, text: str) -> str:
        """The text with the fault."""
        return text[: self.begin] + self.new + text[self.end :]


# --- Python ----------------------------------------------------------------------------------


def in_python(text: str) -> list[Site]:
    """All places in a module, but for annotations and what only type checkers read."""
    return list(_Python(text).sites(ast.parse(text)))


class _Python:
    def __init__(self, text: str) -> None:
        self._text = text
        lines = text.encode().splitlines(keepends=True)
        self._lines = [line.decode() for line in lines]
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def sites(self, node: ast.AST) -> Iterator[Site]:
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _only_for_types(child):
                    yield from self._at(child)
                    yield from self.sites(child)

    def _at(self, node: ast.AST) -> Iterator[Site]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from self._operator(node.left, node.comparators[0], "comparison")
        elif isinstance(node, ast.BoolOp):
            yield from self._operator(node.values[0], node.values[1], "logic")
        elif isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Mod):
            yield from self._operator(node.left, node.right, "arithmetic")
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            begin, end = self._span(node)
            yield Site("number", begin, end, str(node.value + 1))
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            begin, end = self._span(node.test)
            yield Site("condition", begin, end, f"(not ({self._text[begin:end]}))")
            if isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise):
                yield Site("check", begin, end, "False")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield Site("call", *self._span(node), "pass")

    def _operator(self, left: ast.AST, right: ast.AST, kind: str) -> Iterator[Site]:
        begin, end = self._span(left)[1], self._span(right)[0]
        found = re.search(
            r"\b(?:not in|is not|and|or|in|is)\b|[-+*/<>=!&|]+", self._text[begin:end]
        )
        if found and (new := SWAPS.get(found[0])):
            yield Site(kind, begin + found.start(), begin + found.end(), new)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._offset(node.lineno, node.col_offset),
            self._offset(node.end_lineno, node.end_col_offset),
        )

    def _offset(self, line: int, column: int) -> int:
        """``column`` is in octets."""
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


# --- C ---------------------------------------------------------------------------------------

_NO_CODE = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_TOKENS = [
    ("comparison", re.compile(r"(?<= )(?:<=|>=|==|!=|<|>)(?= )")),
    ("logic", re.compile(r"&&|\|\|")),
    ("arithmetic", re.compile(r"(?<=[\w)\]] )(?:<<|>>|[-+&|])(?= [\w(~])")),
    ("number", re.compile(r"(?<![\w.])(?:0[xX][0-9a-fA-F]+|[0-9]+)(?![\w.])")),
]
_CALL = re.compile(r"(?<=[;{}\n])[ \t]+(\w+\([^;{}]*\));")
_IF = re.compile(r"\bif \(")
_WORDS = {"return", "if", "while", "for", "switch", "sizeof", "defined"}


def in_c(text: str) -> list[Site]:
    """All places in the functions of a source file; comments, texts, and lines of the preprocessor
    have none."""
    blank = _NO_CODE.sub(lambda one: re.sub(r"[^\n]", " ", one[0]), text)
    return [one for one in _in_c(blank, text) if _is_inside(blank, one.begin)]


def _in_c(blank: str, text: str) -> Iterator[Site]:
    for kind, pattern in _TOKENS:
        for found in pattern.finditer(blank):
            new = SWAPS.get(found[0]) or str(int(found[0], 0) + 1)
            yield Site(kind, *found.span(), new)
    for found in _CALL.finditer(blank):
        if re.match(r"\w+", found[1])[0] not in _WORDS:
            yield Site("call", found.start(1), found.end(), ";")
    for found in _IF.finditer(blank):
        begin = found.end()
        end = _closing(blank, begin)
        yield Site("condition", begin, end, f"!({text[begin:end]})")
        if re.match(r"\)\s*(?:\{\s*)?(?:return|goto|break|continue)\b", blank[end:]):
            yield Site("check", begin, end, f"0 && ({text[begin:end]})")


def _closing(text: str, begin: int) -> int:
    depth = 1
    for i in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if not depth:
            return i
    raise ValueError("a parenthesis isn't closed")


def _is_inside(text: str, place: int) -> bool:
    """Whether it is in a function: in braces that follow a closing parenthesis."""
    outer = text.rfind("\n}", 0, place)
    opening = text.find("\n{", outer + 1, place)
    if opening < 0:
        opening = next(
            (one.end() for one in re.finditer(r"\)[ \t]*\{", text[outer + 1 : place])), -1
        )
    return opening >= 0
