"""What is said of a machine while a test measures: who had its CPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SESSION_MARK
from tests.leaks import MARK
from tests.quiet import QUIET_BELOW, Clocks, clocks, taken

BUSY = """
import os, sys, time
if "orphan" in sys.argv and os.fork():
    os._exit(0)
while time.process_time() < 1:
    pass
"""

SUITE = """
import os
import pytest

TRIES = os.path.join(os.path.dirname(__file__), "tries")

def tried():
    with open(TRIES, "a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())

@pytest.mark.measures
def test_it():
    assert tried() > 1
"""


def busy(*words: str) -> None:
    """Let a program compute for a second: a child of ours or, as "orphan", a foreign one.

    It is over when nobody has the pipe for its output any more.
    """
    environment = {key: value for key, value in os.environ.items() if key != MARK}
    command = [sys.executable, "-S", "-c", BUSY, *words]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def spent_meanwhile(*words: str) -> tuple[float, float]:
    """Return the CPU seconds of ours and of others while that program computed."""
    before = clocks(SESSION_MARK)
    busy(*words)
    after = clocks(SESSION_MARK)
    if before is None or after is None:
        pytest.skip("there is no /proc")
    own_s = after.own_s - before.own_s
    return own_s, after.busy_s - before.busy_s - own_s


def test_a_share_is_of_all_cpus() -> None:
    """What others computed and what the host took, of all that there was."""
    before = Clocks(at_s=10.0, busy_s=5.0, stolen_s=1.0, own_s=3.0)
    after = Clocks(at_s=20.0, busy_s=12.0, stolen_s=3.0, own_s=8.0)

    assert taken(before, after, cpus=4) == pytest.approx((2 + 2) / 40)
    assert taken(before, before, cpus=4) == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_foreign_program_is_seen() -> None:
    """An orphan that nobody knows is not ours, however it came to be."""
    own_s, others_s = spent_meanwhile("orphan")

    assert own_s < 0.5
    assert others_s > 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_our_own_programs_are_ours() -> None:
    """A child that has ended, and been waited for, still counts."""
    own_s, _ = spent_meanwhile()

    assert own_s > 0.9


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_measurement_is_repeated_only_if_it_was_disturbed(
    tmp_path: Path, share: float
) -> None:
    """A test that fails on a quiet machine fails; else it has another try, and says so."""
    (tmp_path / "test_it.py").write_text(SUITE, "utf-8")
    (tmp_path / "conftest.py").write_text(
        "from tests import conftest\n"
        f"conftest.taken = lambda *_: {share}\n"
        "pytest_runtest_protocol = conftest.pytest_runtest_protocol\n",
        "utf-8",
    )
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore"]
    command += ["-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=tmp_path
    )

    tries = len((tmp_path / "tries").read_text("utf-8"))
    if share < QUIET_BELOW:
        assert (ended.returncode, tries) == (1, 1), ended.stdout
    else:
        assert (ended.returncode, tries) == (0, 2), ended.stdout
        assert "others had 50% of the CPUs" in ended.stdout
