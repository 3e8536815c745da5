"""Numbers with names cost a board an entry in a dictionary and the name: in bytecode only the numbers need to stand."""

from __future__ import annotations

import ast


def inlined(source: str) -> str:
    """Return a module's source with its private numbers (`_LIMIT_MS = 300`) marked as constants for mpy-cross.

    mpy-cross puts them where they are used, and forgets the names. What is assigned twice is left alone.
    """
    tree = ast.parse(source)
    stored = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
            is_number = isinstance(node.value, ast.Constant) and type(node.value.value) is int
            if is_number and target.id.startswith("_") and stored.count(target.id) == 1:
                node.value = ast.Call(ast.Name("const", ast.Load()), [node.value], [])
    return ast.unparse(tree)
