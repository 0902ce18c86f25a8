"""The planted bugs still fit the scripts, and a sample of them is caught (all: planted_bugs.py)."""
import pytest

import planted_bugs
from conftest import SCRIPTS

pytestmark = pytest.mark.usefixtures("ours")


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_bug_can_be_planted(script):
    bugs = planted_bugs.bugs(script)
    assert len(bugs) >= 12 and len({name for name, *_ in bugs}) == len(bugs)
    sources = [planted_bugs.plant(script, *change) for _, *change in bugs]
    assert len(set(sources)) == len(sources)
    for source in sources:
        compile(source, script, "exec")
    with pytest.raises(ValueError, match="not once"):
        planted_bugs.plant(script, "no such text", "")


def catch_the_first(script):
    name, *change = planted_bugs.bugs(script)[0]
    return name, planted_bugs.caught_by(script, planted_bugs.plant(script, *change))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_bug_is_caught(script, begun):
    name, caught = begun
    assert caught, f"{name}: not caught"


test_a_bug_is_caught.work = catch_the_first
