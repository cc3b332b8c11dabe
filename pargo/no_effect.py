"""Settings that say how something is computed, and not what: a change of them makes nothing anew.

Each names the test that holds it to that. Settings whose results differ by rounding are free as well, unless a config
says `strict: true`; the provenance of what they made keeps the value that it was made with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

Change = Callable[[Any, Any], bool]  # of the values before and now: is it without effect?


def _always(before: Any, now: Any) -> bool:
    return True


def _more_lenient(before: Any, now: Any) -> bool:
    """What ended well when it had to stop at the first fault had none."""
    return bool(before == "stop" and now == "skip")


def _raised(before: Any, now: Any) -> bool:
    """What stayed below a limit stays below a higher one."""
    return isinstance(before, int | float) and isinstance(now, int | float) and now >= before


def _no_dropout(settings: Mapping[str, Any]) -> bool:
    """Which values are dropped depends on how samples are put together."""
    return not (settings["train"].get("lora") or {}).get("dropout")


def _in_float32(settings: Mapping[str, Any]) -> bool:
    """In bf16 some answers depend on those beside them."""
    return (settings["generation"].get("precision") or settings["language"].get("precision")) in (None, "fp32")


def _anyhow(settings: Mapping[str, Any]) -> bool:
    return True


class NoEffect(NamedTuple):
    """A setting without effect on the result.

    Args:
        equal: `bitwise`, or within `rounding`.
        test: that says so, as pytest names it.
        change: which changes of it.
        given: which settings of the stage it needs for that.
    """

    equal: Literal["bitwise", "rounding"]
    test: str
    change: Change = _always
    given: Callable[[Mapping[str, Any]], bool] = _anyhow


_CAPTION, _TRAIN, _EVALUATE = (
    "tests/captions/test_caption_stage.py",
    "tests/train/test_no_effect.py",
    "tests/benchmarks/answering/test_evaluate.py",
)
_KEPT = f"{_TRAIN}::test_how_a_training_is_kept_changes_no_bit"
_ROUNDING = f"{_TRAIN}::test_how_a_step_is_computed_changes_rounding_alone"
_TRAINING = {
    "train.num_workers": NoEffect("bitwise", _KEPT),
    "train.checkpoint_interval": NoEffect("bitwise", _KEPT),
    "train.keep_checkpoints": NoEffect("bitwise", _KEPT),
    "train.on_bad_sample": NoEffect("bitwise", _KEPT, _more_lenient),
    "train.on_non_finite": NoEffect("bitwise", _KEPT, _more_lenient),
    "train.activation_checkpointing": NoEffect("rounding", _ROUNDING),
    "train.micro_batch_size": NoEffect("rounding", _ROUNDING, given=_no_dropout),
    "train.packing": NoEffect("rounding", _ROUNDING, given=_no_dropout),
    "train.zero_stage": NoEffect("rounding", _ROUNDING),
}
_ASKED = "tests/captions/test_caption_faults.py::test_how_a_server_is_asked_changes_no_caption"
_JUDGED = "tests/benchmarks/mmvet/test_mmvet_judge.py::test_how_a_judge_is_asked_changes_no_byte_of_the_grades"
_ENGINE = ("base_url", "api_key_environment", "timeout", "num_threads", "max_tries", "max_wait", "max_outage")
_JUDGE = ("base_url", "api_key_environment", "timeout", "num_threads", "max_retries")
_CARD = "tests/report/test_captions_report.py::test_how_captions_were_shared_out_is_not_in_the_report"
NO_EFFECT: Mapping[str, Mapping[str, NoEffect]] = {
    "caption": {
        "captions.num_shards": NoEffect("bitwise", f"{_CAPTION}::test_shards_give_the_same_bytes"),
        "captions.max_failures": NoEffect("bitwise", f"{_CAPTION}::test_a_higher_limit_gives_the_same_bytes", _raised),
        **{f"captions.engine.{name}": NoEffect("bitwise", _ASKED) for name in _ENGINE},
    },
    "report_captions": {
        "captions.num_shards": NoEffect("bitwise", _CARD),
        "captions.max_failures": NoEffect("bitwise", _CARD),
        **{f"captions.engine.{name}": NoEffect("bitwise", _CARD) for name in _ENGINE},
    },
    "pretrain": _TRAINING,
    "finetune": _TRAINING,
    "grade": {
        **{f"judge.{name}": NoEffect("bitwise", _JUDGED) for name in _JUDGE},
        "judge.max_replies": NoEffect("bitwise", _JUDGED, _raised),
    },
    "evaluate": {
        "generation.num_shards": NoEffect("bitwise", f"{_EVALUATE}::test_shards_give_the_answers_of_one_job"),
        "generation.batch_size": NoEffect(
            "rounding", f"{_EVALUATE}::test_answers_do_not_depend_on_batches_or_order", given=_in_float32
        ),
        "generation.num_threads": NoEffect(
            "rounding", f"{_EVALUATE}::test_answers_do_not_depend_on_the_number_of_threads", given=_in_float32
        ),
    },
}


def how_and_what(rule: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a stage that change no bit of its result, by path, and the settings without them."""
    how, what = {}, json.loads(json.dumps(settings))
    for path, found in NO_EFFECT.get(rule, {}).items():
        *parents, name = path.split(".")
        place = what
        for parent in parents:
            place = place.get(parent) or {}
        if found.equal == "bitwise" and name in place:
            how[path] = place.pop(name)
    return how, what


def is_free(rule: str, path: str, before: Any, now: Any, settings: Mapping[str, Any], *, strict: bool) -> bool:
    """Is a changed setting without effect on what a stage made?

    Args:
        rule: the stage.
        path: of the setting, e.g. `train.num_workers`.
        before, now: its values.
        settings: of the stage, as they are now.
        strict: results that differ by rounding differ.
    """
    found = NO_EFFECT.get(rule, {}).get(path)
    if found is None or (strict and found.equal == "rounding"):
        return False
    return found.change(before, now) and found.given(settings)
