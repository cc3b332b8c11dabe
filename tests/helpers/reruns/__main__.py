"""`python -m tests.helpers.reruns`: write docs/reruns.md."""

from tests.helpers.reruns.table import DOCUMENT, document

DOCUMENT.write_text(document(), encoding="utf-8")
