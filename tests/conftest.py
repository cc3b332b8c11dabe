"""What all tests share: they leave the user's cache alone, and two processes can divide them."""

import os
import sys
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

from tests.helpers.private_slurm import Cluster, missing_programs

# an example that is slow once, on a busy machine, is no fault
hypothesis.settings.register_profile("pargo", deadline=None)
hypothesis.settings.load_profile("pargo")

# before anything measures; subprocesses inherit it
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="pargo-tests-")

# what takes longest goes first, the first three to a process each
SLOW = (
    "tests/workflow/test_official_files.py",
    "tests/workflow/test_slurm_run.py",
    "tests/slurm/",
    "tests/train/test_every_projector.py",
    "tests/train/test_resume.py",
    "tests/workflow/",
)
TOGETHER = "tests/slurm/"  # its tests share a cluster


def pytest_runtest_setup() -> None:
    """What a test draws, and its fixtures, depends on no test before it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist, the processes begin with the slowest files."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: [not item.nodeid.startswith(name) for name in SLOW])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files stay whole, because their tests share what is slow to make."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private SLURM, where its programs are installed; the environment leads SLURM's commands to it."""
    if missing := missing_programs():
        pytest.skip(f"no SLURM here ({', '.join(missing)} missing): apt-get install slurm-wlm munge")
    private = Cluster()
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    try:
        private.start()
        os.environ.update({name: private.environment[name] for name in before})
        yield private
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        private.stop()
