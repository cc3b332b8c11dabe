"""The generated reference of the config is the one in the repository."""

from pathlib import Path

from pargo.config.docs import render

ROOT = Path(__file__).resolve().parents[2]


def test_reference_is_current():
    folder = ROOT / "config"
    assert (folder / "README.md").read_text(encoding="utf-8") == render(folder), "run python -m pargo.config.docs"


def test_every_field_of_the_quick_config_is_documented():
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    for field in ("num_partial_tokens", "learning_rate", "max_turns", "seeds", "images_per_task"):
        assert f"| `{field}` |" in text
