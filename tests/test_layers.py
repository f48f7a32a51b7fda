"""Imports point down only: see docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "isl"
LAYERS = [
    {"core"},
    {"io"},
    {"models"},
    {"simulate"},
    {"data"},
    {"inference"},
    {"evaluation"},
    {"training"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported_packages(path: Path) -> set[str]:
    """Names of the packages below ``isl`` that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("isl.") and n.count(".") >= 1}
    return found & set(LEVEL)


@pytest.mark.parametrize("package", sorted(LEVEL))
def test_imports_point_down(package):
    for path in (SOURCE / package).rglob("*.py"):
        for imported in imported_packages(path) - {package}:
            assert LEVEL[imported] < LEVEL[package], f"{path} imports isl.{imported}"


def test_every_package_has_a_layer():
    packages = {p.parent.name for p in SOURCE.glob("*/__init__.py")}
    assert packages == set(LEVEL)


@pytest.mark.parametrize("statement", ["import isl", "import isl.cli.app"])
def test_start_is_light(statement):
    code = f"import sys; {statement}; print([m for m in ('torch', 'zarr') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
