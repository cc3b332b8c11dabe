"""What all tests share: they leave the user's cache alone, and two processes can divide them."""

import os
import tempfile

import pytest

# before anything measures; subprocesses inherit it
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="pargo-tests-")

TOGETHER = "tests/workflow/"  # these tests share a finished run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist, one process begins with the slowest tests, and the other with the cheapest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files stay whole, because their tests share what is slow to make."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]

    return ByFile(config, log)
