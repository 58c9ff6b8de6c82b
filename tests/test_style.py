"""Rules that keep the code readable, where a program can check them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

LONGEST_FUNCTION = 50
MOST_POSITIONAL = 5
MODULES = sorted((ROOT / "seqbench").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def trees(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of some kinds in the package, with its place."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kinds):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node  # type: ignore[attr-defined]


def test_functions_are_short() -> None:
    long = {
        f"{place} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for place, node in trees(ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, Function)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert not long


def test_few_parameters_are_positional() -> None:
    """Click passes the parameters of a command by name."""
    many = [
        f"{place} {node.name}"
        for place, node in trees(ast.FunctionDef)
        if isinstance(node, ast.FunctionDef)
        and len([a for a in node.args.args if a.arg not in ("self", "cls")]) > MOST_POSITIONAL
        and not any("click" in ast.unparse(d) or "option" in ast.unparse(d)
                    for d in node.decorator_list)
    ]  # fmt: skip
    assert not many


def test_few_arguments_are_positional() -> None:
    many = [
        f"{place} {ast.unparse(node.func)}"
        for place, node in trees(ast.Call)
        if isinstance(node, ast.Call)
        and len(node.args) > MOST_POSITIONAL
        and not any(isinstance(argument, ast.Starred) for argument in node.args)
    ]
    assert not many


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def is_boolean(node: ast.expr) -> bool:
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (
        isinstance(node, ast.Call) and ast.unparse(node.func) == "bool"
    )


def test_no_text_is_multiplied_by_a_boolean() -> None:
    found = [
        place
        for place, node in trees(ast.BinOp)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
        for text, times in ((node.left, node.right), (node.right, node.left))
        if is_text(text) and not isinstance(times, ast.Constant)
        and (is_boolean(times) or isinstance(text, ast.JoinedStr))
    ]  # fmt: skip
    assert not found


def test_nothing_is_identified_by_its_address() -> None:
    found = [
        place
        for place, node in trees(ast.Call)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "id"
    ]
    assert not found


@pytest.mark.parametrize("name", ["utils.py", "helpers.py", "misc.py", "common.py"])
def test_there_is_no_drawer(name: str) -> None:
    assert not [path for path in MODULES if Path(path).name == name]
