"""README.md as a promise: size, links, slides, names, and examples that print what they say."""
import io
import re
from contextlib import redirect_stdout

import pytest

from conftest import CONTRACT, REPOSITORY, SCRIPTS

README = REPOSITORY / "README.md"
TEXT = README.read_text(encoding="utf-8")
SLIDES = [                                          # every slide of the lecture with something to run
    "Remember the transition dynamics?", "Why Model-Based RL?", "How to build a model? (I), (II), (III)",
    "Models can be stochastic too", "Examples of planning?", "Challenges of learned models",
    "Sample-based planning: Dyna-Q (I), (II), set-up, comparison", "Dyna-Q: harder, easier", "Planning v0.5",
    "Planning v1.0", "Planning v1.5 or Model Predictive Control", "What about Experience Replay?",
    "Forward search", "Simulation-based search", "Monte-Carlo Tree Search", "Putting it all together"]
pytestmark = pytest.mark.usefixtures("ours")


def test_it_is_short_and_its_links_lead_somewhere():
    assert len(README.read_bytes()) <= 9000
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert (REPOSITORY / link).exists(), link


def test_every_slide_and_every_name_is_there():
    """And what the table of slides names is defined in the script that it names."""
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    for slide in SLIDES:
        assert any(slide in row.split("|")[1] for row in rows), f"no row for the slide {slide}"
    for name in sum(CONTRACT.values(), []):
        assert f"`{name}`" in TEXT or f"`{name.replace('planning', '')}`" in TEXT, name
    named = 0
    for row in rows:
        for script, names in re.findall(r"(\w+): ((?:`[^`]+`[^;:|]*)+)", row):
            if script in SCRIPTS:
                source = (REPOSITORY / f"{script}.py").read_text(encoding="utf-8")
                for name in re.findall(r"`(\w+)[.\w]*`", names):
                    named += 1
                    assert re.search(rf"^(def |class )?{name}\b|^def \w+\(.*\b{name}\b", source, re.M), \
                        f"{script}.py has no {name}"
    assert named > 30


EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda code: re.search(r"from (\w+)", code)[1])
def test_examples_print_what_they_promise(example, monkeypatch):
    """The last line is print(...)  # number, or number to number. With Gymnasium only."""
    pytest.importorskip("gymnasium")
    monkeypatch.syspath_prepend(str(REPOSITORY))
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    low, high = re.search(r"# (-?[\d.]+)(?: to (-?[\d.]+))?\s*$", example).groups()
    assert float(low) - 1e-9 <= float(output.getvalue()) <= float(high or low) + 1e-9
