"""The extension has what its stub says, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

from orthrus import _native


def test_names():
    stub = ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text())
    names = set()
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            own = {
                part.target.id if isinstance(part, ast.AnnAssign) else part.name
                for part in node.body
            }
            bound = {name for name in vars(getattr(_native, node.name)) if name[0] != "_"}
            assert {name for name in own if name[0] != "_"} == bound, node.name
    assert {name for name in vars(_native) if name[0] != "_"} == names
