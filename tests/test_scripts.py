"""What all five scripts promise alike: examples, copying out of them, and running them anywhere."""
import ast
import builtins
import dis
import doctest
import os
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

from conftest import CONTRACT, REPOSITORY, SCRIPTS

pytestmark = pytest.mark.usefixtures("ours")
each_script = pytest.mark.parametrize("script", SCRIPTS)


def source_of(script):
    return (REPOSITORY / f"{script}.py").read_text(encoding="utf-8")


def definitions(script):
    """Functions and classes of the script by name."""
    return {node.name: node for node in ast.parse(source_of(script)).body if hasattr(node, "name")}


@each_script
def test_examples_in_docstrings_print_what_they_say(script, request):
    """And each public name has one."""
    module = request.getfixturevalue(script)._load()
    result = doctest.testmod(module, verbose=False)
    assert result.failed == 0 and result.attempted >= 2 * len(CONTRACT[script])
    for name in CONTRACT[script]:
        assert ">>> " in ast.get_docstring(definitions(script)[name]), f"{name} has no example"


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


@pytest.mark.parametrize("script, name", [(s, n) for s in SCRIPTS for n in CONTRACT[s]])
def test_public_names_work_when_copied(script, name):
    """With the script's imports and what the docstring's sentence "Needs ..." names, nothing is missing."""
    defined = definitions(script)
    docstring = " ".join(ast.get_docstring(defined[name]).split())
    needs = " ".join(re.findall(r"Needs ([^.]*)\.", docstring))
    copied = [defined[name]] + [defined[n] for n in re.findall(r"\w+", needs) if n in defined and n != name]
    copied.sort(key=lambda node: node.lineno)
    tree = ast.parse(source_of(script))
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    scope = {"__name__": "copied"}
    code = compile(ast.Module(imports + copied, []), f"part of {script}.py", "exec")
    exec(code, scope)
    loaded, stored = [{i.argval for part in code_objects(code) for i in dis.get_instructions(part) if i.opname in names}
                      for names in [("LOAD_GLOBAL", "LOAD_NAME"), ("STORE_NAME",)]]
    missing = {n for n in loaded - stored if n not in scope and not hasattr(builtins, n)}
    assert not missing, f"{name} uses {sorted(missing)}, which its docstring does not name"


@each_script
def test_sections_main_and_imports_are_alike(script):
    """The same sections in the same order; main is the same text but for numbers and the file's name."""
    def main_of(name):
        text = source_of(name)
        return re.sub(r"\d+", "#", text[text.index("def main():"):].replace(f"{name}.", "script."))
    banners = [line for line in source_of(script).splitlines() if line.startswith("# %% ")]
    order = ["Settings", "Environment", "Algorithm", "Exact answers", "What the", "Slide", "The run"]
    kinds = [next(k for k, word in enumerate(order) if banner[5:].startswith(word)) for banner in banners]
    assert kinds == sorted(kinds) and {0, 3, *kinds} == set(range(len(order))), banners  # 0, 3: not needed
    assert main_of(script) == main_of("dyna_q")
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", source_of(script), re.MULTILINE))
    assert imported <= {"numpy", "matplotlib", *sys.stdlib_module_names}, imported


@pytest.mark.parametrize("script", ["dyna_q"])      # main is the same text in all five, see above
@pytest.mark.parametrize("arguments", [
    ["--runs", "0"], ["--runs", "many"], ["--seed", "-1"], ["--save", "figure.doc"],
    ["--save", "no/such/folder/figure.png"], ["--save", "folder.png"], ["--fast"]], ids=" ".join)
def test_bad_options_get_one_sentence_and_exit_code_2(script, arguments, request, monkeypatch, capsys, tmp_path):
    module = request.getfixturevalue(script)._load()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr(module, "run_all", lambda *a: pytest.fail("work began before the options were checked"))
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        module.main()
    module.plt.close("all")
    output = capsys.readouterr()
    assert stop.value.code == 2 and not output.out
    assert output.err.count("\n") == 1 and len(output.err) > 30
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def run_elsewhere(command, folder):
    """On a machine without a display, with a console that is not UTF-8."""
    unwanted = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    return subprocess.run(command, cwd=folder, env=environment | {"PYTHONIOENCODING": "cp1252"}, timeout=120,
                          capture_output=True, encoding="cp1252")


WITH_GLOBAL_STATE = """
import random, runpy, sys
import numpy as np
def state():
    return random.getstate(), str(np.random.get_state())
sys.argv = sys.argv[1:]
before = state()
runpy.run_path(sys.argv[0], run_name="__main__")
assert state() == before, "the global random generators were used"
"""


def run_twice(script):
    """A copy in an otherwise empty folder, called from two others: what it prints and draws there."""
    with tempfile.TemporaryDirectory() as name:
        home, one, two = [Path(name, part) for part in ("home", "one", "two")]
        for folder in (home, one, two):
            folder.mkdir()
        copy = home / f"{script}.py"
        copy.write_bytes((REPOSITORY / f"{script}.py").read_bytes())
        arguments = [str(copy), "--runs", "1", "--seed", "3"]
        # Every warning is an error, but for what old libraries find deprecated in each other.
        strict = ["-Werror", "-Wignore::DeprecationWarning", "-Werror::DeprecationWarning:__main__"]
        runs = [run_elsewhere([sys.executable, *strict, *arguments], one),
                run_elsewhere([sys.executable, "-c", WITH_GLOBAL_STATE, *arguments], two)]
        assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
        return runs, [(folder / f"{script}.png").read_bytes() for folder in (one, two)]


@each_script
def test_script_runs_alone_anywhere(script, begun):
    """It writes its picture where it is called and prints its lines. A second run gives the same, byte for
    byte, and leaves the global random generators as they were."""
    runs, pictures = begun
    assert runs[0].stderr == "" and runs[0].stdout == runs[1].stdout and runs[0].stdout.isascii()
    header, *rows, last = runs[0].stdout.splitlines()
    assert [cell.strip() for cell in header.split("|")] == ["what", "measured", "compare"]
    assert 6 <= len(rows) <= 15 and all(row.count(" | ") == 2 for row in rows) and f"{script}.png" in last
    assert pictures[0].startswith(b"\x89PNG") and pictures[0] == pictures[1]


test_script_runs_alone_anywhere.work = run_twice


@each_script
def test_cells_of_a_notebook_give_the_picture(script):
    """In a real kernel, if there is one here; with a single run, to save time."""
    nbclient, nbformat, _ = [pytest.importorskip(name) for name in ("nbclient", "nbformat", "ipykernel")]
    text = re.sub(r'("--runs", type=int, default=)\d+', r"\g<1>1", source_of(script))
    cells = re.split(r"^(?=# %% )", text, flags=re.MULTILINE)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    nbclient.NotebookClient(notebook, timeout=120).execute(env=environment)
    outputs = notebook.cells[-1].outputs
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("what" in output.get("text", "") for output in outputs)
