"""README.md as a promise: links, line numbers, names of tests, examples and expected numbers.

    python tests/test_readme.py     brings the line numbers in README.md up to date
"""
import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
LINE_LINK = re.compile(r"\[`?([\w.]+)`?\]\((\w+\.py)#L(\d+)\)")
SLIDES = [                                          # every slide of the lecture with something to run
    "How to build a model? (I)", "How to build a model? (II)", "How to build a model? (III)",
    "Models can be stochastic too", "Examples of planning?", "Challenges of learned models",
    "Sample-based planning: Dyna-Q (I)", "Sample-based planning: Dyna-Q (II)", "Dyna-Q: set-up",
    "Dyna-Q: comparison", "Dyna-Q: harder", "Dyna-Q: easier", "Planning v0.5", "Planning v0.5 - Fail",
    "Planning v1.0", "Planning v1.0 - can we do better", "Planning v1.5 or Model Predictive Control",
    "What about Experience Replay?", "Forward search", "Simulation-based search",
    "Monte-Carlo Tree Search", "Putting it all together"]


def text():
    return README.read_text(encoding="utf-8")


def line_of(name, script):
    """The line on which `name` (a function, a class, Class.method or a setting) is defined."""
    source = (REPOSITORY / script).read_text(encoding="utf-8")
    start = 0
    for part in name.split("."):
        found = re.search(rf"^ *(?:def |class ){part}\b|^{part} = ", source[start:], re.MULTILINE)
        if not found:
            raise ValueError(f"README.md points at {name} in {script}, which is not defined there")
        start += found.start()
    return source.count("\n", 0, start) + 1


def test_line_numbers_are_right(ours):
    links = LINE_LINK.findall(text())
    assert len(links) > 20
    for name, script, line in links:
        assert int(line) == line_of(name, script), f"{name}: run python tests/test_readme.py"


def test_links_lead_somewhere(ours):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text()):
        if not link.startswith("https://"):
            assert (REPOSITORY / link).exists(), link


def test_every_slide_is_there(ours):
    for slide in SLIDES:
        assert f"| {slide} |" in text(), f"no row for the slide {slide}"


def test_named_tests_exist(ours):
    tests = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").glob("test_*.py"))
    names = set(re.findall(r"`(test_\w+)`", text()))
    assert len(names) > 15
    for name in names:
        assert f"def {name}(" in tests or (REPOSITORY / "tests" / f"{name}.py").exists(), name


EXAMPLES = re.findall(r"```python\n(.*?)```", text(), re.DOTALL) if README.exists() else []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda code: re.search(r"from (\w+)", code)[1])
def test_examples_print_what_they_promise(ours, example, monkeypatch):
    """The last line is print(...)  # number, or number to number. With Gymnasium only."""
    if "gymnasium" in example:
        pytest.importorskip("gymnasium")
    monkeypatch.syspath_prepend(str(REPOSITORY))
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    low, high = re.search(r"# (-?[\d.]+)(?: to (-?[\d.]+))?\s*$", example).groups()
    assert float(low) - 1e-9 <= float(output.getvalue()) <= float(high or low) + 1e-9


EXPECTED = re.findall(r"^\| (\w+)\.py \| (.*?) \| (.*?) \|$", text(), re.MULTILINE)


@pytest.mark.parametrize("script", sorted({script for script, _, _ in EXPECTED}))
def test_expected_numbers_are_those_of_a_fresh_run(ours, request, base_seed, script):
    """Each row "script | claim | expected": the table of a run has that claim, expects that number, and
    measured it within the spread stated there."""
    module = request.getfixturevalue(script)
    rows = module.check_claims(**module.run_experiments(1, base_seed, lambda text: None))
    rows = {row[0]: row for row in rows}
    for name, claim, expected in EXPECTED:
        if name == script:
            assert claim in rows, f"{script}.py has no claim {claim!r}"
            assert rows[claim][1].split(" ±")[0] == expected and rows[claim][3], rows[claim]


if __name__ == "__main__":
    README.write_text(LINE_LINK.sub(lambda link: f"[`{link[1]}`]({link[2]}#L{line_of(link[1], link[2])})",
                                    text()), encoding="utf-8")
    sys.exit()
