"""What all five scripts promise alike: copying out of them, and running them under all circumstances."""
import ast
import builtins
import dis
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from conftest import REPOSITORY, SCRIPTS

PUBLIC = {                                              # what is copied together with what
    "dyna_q": [["Maze"], ["dyna_q"], ["replay_q"]],
    "expectation_model": [["LookupModel"], ["LinearModel"], ["NeuralModel"], ["MixtureModel"],
                          ["value_iteration"]],
    "mpc": [["PointMass"], ["NeuralDynamics"], ["random_shooting"], ["cem"]],
    "rollout_search": [["TabularModel"], ["forward_search", "TabularModel"],
                       ["rollout_search", "TabularModel"]],
    "mcts": [["GridWorld"], ["mcts", "Node"]],
}
pytestmark = pytest.mark.usefixtures("ours")
each_script = pytest.mark.parametrize("script", SCRIPTS)


def environment(**changes):
    """As on a machine without a display, where nobody chose matplotlib's backend."""
    kept = {key: value for key, value in os.environ.items()
            if key not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
    return kept | changes


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


@pytest.mark.parametrize("script, names", [(s, n) for s in SCRIPTS for n in PUBLIC[s]])
def test_public_names_work_when_copied_alone(script, names):
    """Under the script's imports of numpy and the standard library, nothing else is needed."""
    tree = ast.parse((REPOSITORY / f"{script}.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    copied = [node for node in tree.body if getattr(node, "name", None) in names]
    assert sorted(node.name for node in copied) == sorted(names)
    for node in copied:
        assert ast.get_docstring(node), f"{node.name} has no docstring"
    code = compile(ast.Module(imports + copied, []), f"part of {script}.py", "exec")
    scope = {"__name__": "copied"}
    exec(code, scope)
    needed = {i.argval for part in code_objects(code) for i in dis.get_instructions(part)
              if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    needed -= {"__module__", "__qualname__", "__name__", "__classcell__"}
    classes = [node for node in copied if isinstance(node, ast.ClassDef)]
    needed -= {name.id for node in classes for name in ast.walk(node)       # names of the class body
               if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    needed -= {part.name for node in classes for part in node.body if hasattr(part, "name")}
    missing = sorted(name for name in needed if name not in scope and not hasattr(builtins, name))
    assert not missing, f"{names} need {missing} from elsewhere in {script}.py"


BANNERS = ["Settings", "Environment", "Algorithm", "Exact answers", "Experiments", "Claims", "Figure",
           "Table and command line"]


@each_script
def test_sections_come_in_the_same_order_and_the_last_is_the_same(script):
    """But for numbers: runs, seconds and the size of the figure are the script's own."""
    def last_section(name):
        source = (REPOSITORY / f"{name}.py").read_text(encoding="utf-8")
        return re.sub(r"\d+(\.\d+)?( runs?)?", "#", source[source.index("# %% Table and command line"):])
    source = (REPOSITORY / f"{script}.py").read_text(encoding="utf-8")
    banners = [re.split(r"[:,]", line[5:])[0] for line in source.splitlines() if line.startswith("# %% ")]
    assert [b for i, b in enumerate(banners) if b not in banners[:i]] == BANNERS
    assert last_section(script) == last_section("dyna_q")
    assert max(map(len, source.splitlines())) <= 100


@each_script
def test_only_numpy_and_the_standard_library_are_imported(script):
    """matplotlib comes in main() only, so that importing a script starts nothing and needs no display."""
    tree = ast.parse((REPOSITORY / f"{script}.py").read_text(encoding="utf-8"))
    top = {name.split(".")[0] for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))
           for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])}
    assert top <= {"numpy", *sys.stdlib_module_names}
    everywhere = {name for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
                  for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])}
    assert {name.split(".")[0] for name in everywhere} <= {"numpy", "matplotlib", *sys.stdlib_module_names}


@each_script
@pytest.mark.parametrize("arguments", [
    ["--runs", "0"], ["--runs", "-3"], ["--runs", "many"], ["--seed", "-1"], ["--save", "figure.doc"],
    ["--save", "figure"], ["--save", "no/such/folder/figure.png"], ["--save", "folder.png"], ["--fast"]])
def test_bad_options_get_one_sentence_and_exit_code_2(script, arguments, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    spec = importlib.util.spec_from_file_location(script, REPOSITORY / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.run_experiments = lambda *args: pytest.fail("work began before the options were checked")
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        module.main()
    output = capsys.readouterr()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert stop.value.code == 2 and not output.out
    assert output.err.count("\n") == 1 and len(output.err) > 30
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


@each_script
def test_script_runs_alone_anywhere(script, tmp_path):
    """A copy in an otherwise empty folder, called from another, with no display and warnings as
    errors: writes its picture there, prints its table, nothing else. Once more with the output piped
    into a program that has gone: no complaint, and the same picture, byte for byte."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / f"{script}.py").write_bytes((REPOSITORY / f"{script}.py").read_bytes())
    command = [sys.executable, "-W", "error", str(home / f"{script}.py"), "--runs", "1"]
    reader, writer = os.pipe()
    os.close(reader)
    options = dict(cwd=elsewhere, env=environment(), stderr=subprocess.PIPE, encoding="utf-8")
    run = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    again = subprocess.Popen([*command, "--save", "again.png"], stdout=writer, **options)
    os.close(writer)
    output, errors = run.communicate(timeout=300)
    assert run.returncode == 0 and errors == ""
    header, *rows, last = output.splitlines()
    assert [cell.strip() for cell in header.split("|")] == ["claim", "expected", "measured", "ok"]
    assert len(rows) >= 8 and all(row.count(" | ") == 3 for row in rows)
    assert f"{script}.png" in last
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0 and errors == ""
    assert sorted(path.name for path in elsewhere.iterdir()) == ["again.png", f"{script}.png"]
    picture = (elsewhere / f"{script}.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and (elsewhere / "again.png").read_bytes() == picture


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_ends_with_one_line_and_code_130(tmp_path):
    """All five at once, interrupted after 4 seconds of a run that would take many minutes."""
    (tmp_path / "old.png").write_text("an older picture")
    runs = [subprocess.Popen([sys.executable, str(REPOSITORY / f"{script}.py"), "--runs", "5000",
                              "--save", "old.png"], cwd=tmp_path, env=environment(), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for script in SCRIPTS]
    time.sleep(4)
    for run in runs:
        run.send_signal(signal.SIGINT)
    for run in runs:
        output, errors = run.communicate(timeout=60)
        assert (run.returncode, output, errors) == (130, "", "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
    assert (tmp_path / "old.png").read_text() == "an older picture"
