"""What all tests share: they leave the user's cache alone."""

import os
import tempfile

# before anything measures; subprocesses inherit it
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="pargo-tests-")
