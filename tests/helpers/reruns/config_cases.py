"""Changes of the config: every section, every field."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.reruns.case import MICRO, Case

GONE = object()  # a field that is taken out of the file
REPORT = "report_training report_answers report_tables report_figures report_page"
VISION = f"features-* pretrain-* finetune-* evaluate-* attention-* {REPORT}"
LANGUAGE = f"pretrain-* finetune-* evaluate-* {REPORT}"
PARGO = f"pretrain-pargo-* finetune-pargo-* evaluate-pargo-* attention-pargo-* {REPORT}"
QFORMER = f"pretrain-qformer-* finetune-qformer-* evaluate-qformer-* attention-qformer-* {REPORT}"
WARM_UP = {"mixture": {"scenes": 1.0}, "num_samples": 16, "batch_size": 4}
CAPTION = "caption-scenes report_captions-scenes"
# all that makes an artifact
MADE_BEFORE = (
    "download-* fingerprint-* select-* caption-* filter-* features-* pretrain-* finetune-* evaluate-* attention-*"
)

Row = tuple[str, Any, str]  # field, its new value, what would run


def fields(section: str, *rows: Row) -> list[Case]:
    """Cases of one field each."""
    return [Case(section, f"`{path}`: {_written(value)}", changed({path: value}), would) for path, value, would in rows]


def several(section: str, change: str, values: Mapping[str, Any], would: str = "", **how: Any) -> Case:
    """A case of several fields."""
    return Case(section, change, changed(values), would, **how)


def changed(values: Mapping[str, Any]) -> Callable[[Path], Any]:
    """Fields of the config by path, with dots between the parts; `GONE` takes one out."""

    def change(data: dict[str, Any]) -> dict[str, Any]:
        for path, value in values.items():
            *parents, key = path.split(".")
            node = data
            for parent in parents:
                node = node.setdefault(parent, {})
            if value is GONE:
                del node[key]
            else:
                node[key] = copy.deepcopy(value)
        return data

    return rewritten(lambda text: yaml.safe_dump(change(yaml.safe_load(text)), sort_keys=False))


def rewritten(change: Callable[[str], str]) -> Callable[[Path], Any]:
    """The config as a text that is changed."""

    @contextmanager
    def make(root: Path) -> Iterator[str]:
        file = root / "runs/rerun.yaml"
        file.write_text(change((root / MICRO).read_text(encoding="utf-8")), encoding="utf-8")
        try:
            yield "runs/rerun.yaml"
        finally:
            file.unlink()

    return make


def _written(value: Any) -> str:
    return (
        "taken out"
        if value is GONE
        else str(yaml.safe_dump(value, default_flow_style=True, width=1000)).split("\n...")[0].strip()
    )


def _training(stage: str) -> list[Case]:
    """Fields that both training stages have."""
    at = f"base.{stage}"
    this = f"{stage}-*"
    section = "config: training"
    lora = {"rank": 2, "alpha": 4, "learning_rate": 0.001}
    rows: list[Row] = [
        (f"{at}.mixture.scenes", 2.0, ""),  # of one dataset it is all the same
        (f"{at}.features", "in_loop", this),
        (f"{at}.num_samples", 32, this),
        (f"{at}.batch_size", 8, this),
        (f"{at}.micro_batch_size", 4, ""),
        (f"{at}.packing", False, ""),
        (f"{at}.max_length", 40, this),
        (f"{at}.learning_rate", 0.002, this),
        (f"{at}.schedule", "linear", this),
        (f"{at}.warmup", 0.1, this),
        (f"{at}.final_learning_rate", 0.1, this),
        (f"{at}.weight_decay", 0.1, this),
        (f"{at}.betas", [0.9, 0.99], this),
        (f"{at}.max_gradient_norm", 2.0, this),
        (f"{at}.zero_stage", 1, ""),
        (f"{at}.activation_checkpointing", True, ""),
        (f"{at}.on_bad_sample", "skip", ""),
        (f"{at}.on_non_finite", "skip", ""),
        (f"{at}.deterministic", False, this),
        (f"{at}.num_threads", 2, this),
        (f"{at}.num_workers", 1, ""),
        (f"{at}.checkpoint_interval", 3, ""),
        (f"{at}.keep_checkpoints", 1, ""),
        *(
            [(f"{at}.lora", lora, this), (f"{at}.alignment", {"num_samples": 16}, this)]
            if stage == "pretrain"
            else [(f"{at}.max_turns", 2, this)]
        ),
    ]
    return fields(section, *rows)


def cases() -> list[Case]:
    """All of the config."""
    dropout = "base.finetune.lora.dropout"
    qformer = "projectors.qformer"
    return [
        # The file itself
        Case("config: the file", "comments and blank lines", rewritten(lambda text: "# new\n\n" + text + "\n# end\n")),
        Case("config: the file", "its sections in another order", rewritten(_reversed)),
        several("config: the file", "a default written out", {"selection": {"min_side": None}, "quality.min_words": 3}),
        several(
            "config: the file",
            "defaults of an arm written out",
            {"base.pretrain.warmup": 0.03, "base.generation.num_beams": None},
        ),
        several(
            "config: the file",
            "a section of `base` written in every arm",
            {"arms.pargo": {"pretrain": {"learning_rate": 1.0e-3}}},
        ),
        several(
            "config: the file",
            "`name`: another",
            {"name": "other"},
            f"score-* report_captions-* {REPORT}",
            restorable=MADE_BEFORE,
            may="",
        ),
        several("config: the file", "`strict`: true", {"strict": True}),
        several(
            "config: the file",
            "`strict`: true, and a setting that changes rounding alone",
            {"strict": True, "base.pretrain.micro_batch_size": 4},
            "pretrain-*",
        ),
        several(
            "config: the file",
            "`strict`: true, and a setting without any effect",
            {"strict": True, "base.pretrain.num_workers": 1},
        ),
        # Seeds, arms
        several(
            "config: seeds and arms",
            "a seed more",
            {"seeds": [0, 1]},
            f"pretrain-*-seed-1 finetune-*-seed-1 evaluate-*-seed-1-* score-*-seed-1-* {REPORT}",
        ),
        several(
            "config: seeds and arms",
            "another seed",
            {"seeds": [1]},
            f"pretrain-* finetune-* evaluate-* score-* attention-* {REPORT}",
        ),
        several(
            "config: seeds and arms",
            "an arm more",
            {"arms.third": {"pretrain": {"learning_rate": 0.005}}},
            f"pretrain-third-* finetune-third-* evaluate-third-* score-third-* attention-third-* {REPORT}",
        ),
        several(
            "config: seeds and arms",
            "an arm more that equals another",
            {"arms.twin": {}},
            f"score-twin-* {REPORT}",
            restorable="pretrain-twin-* finetune-twin-* evaluate-twin-* attention-twin-*",
        ),
        several(
            "config: seeds and arms",
            "an arm more that shares the first stage",
            {"arms.third": {"finetune": {"learning_rate": 0.005}}},
            f"finetune-third-* evaluate-third-* score-third-* attention-third-* {REPORT}",
            restorable="pretrain-third-*",
        ),
        several(
            "config: seeds and arms",
            "an arm replaced by an equal one",
            {"arms.qformer": GONE, "arms.twin": {}, "report.reference_arm": "twin"},
            f"score-twin-* {REPORT}",
            restorable="pretrain-twin-* finetune-twin-* evaluate-twin-* attention-twin-*",
        ),
        several(
            "config: seeds and arms",
            "an arm with another name",
            {
                "arms.qformer": GONE,
                "arms.blip": {"projector": "qformer", "generation": {"num_shards": 2}},
                "report.reference_arm": "blip",
            },
            f"score-blip-* {REPORT}",
            restorable="pretrain-blip-* finetune-blip-* evaluate-blip-* attention-blip-*",
        ),
        several(
            "config: seeds and arms",
            "one arm alone: a setting of pretraining",
            {"arms.qformer.pretrain": {"learning_rate": 0.002}},
            "pretrain-qformer-*",
        ),
        several(
            "config: seeds and arms",
            "one arm alone: a setting of fine-tuning",
            {"arms.qformer.finetune": {"learning_rate": 0.002}},
            "finetune-qformer-*",
        ),
        several(
            "config: seeds and arms",
            "one arm alone: how it answers",
            {"arms.qformer.generation.max_new_tokens": 3},
            "evaluate-qformer-*",
        ),
        # Sources
        *fields(
            "config: sources",
            ("sources.vision_tower.seed", 1, "download-vision_tower"),
            ("sources.language_model.seed", 1, "download-language_model"),
            ("sources.language_model.hidden_size", 32, "download-language_model"),
            ("sources.language_model.num_layers", 1, "download-language_model"),
            ("sources.language_model.num_heads", 2, "download-language_model"),
            ("sources.scenes.num_images", 60, "download-scenes"),
            ("sources.scenes.image_size", 96, "download-scenes"),
            ("sources.scenes.seed", 7, "download-scenes"),
            ("sources.mini_mme.images_per_task", 3, "download-mini_mme"),
            ("sources.mini_mme.image_size", 96, "download-mini_mme"),
            ("sources.mini_mme.seed", 8, "download-mini_mme"),
            ("sources.unused", {"kind": "scenes", "num_images": 8, "seed": 5}, ""),
        ),
        # Models
        *fields(
            "config: models",
            ("vision.architecture", "test_resnet", VISION),
            ("vision.image_size", 96, VISION),
            ("vision.feature_layers", 1, VISION),
            ("vision.feature_size", 64, VISION),
            ("vision.resize", "pad", VISION),
            ("vision.whiten", True, f"pretrain-* finetune-* evaluate-* attention-* {REPORT}"),
            ("language.precision", "bf16", LANGUAGE),
            ("language.precision", "auto", LANGUAGE),
            ("language.attention", "eager", LANGUAGE),
            ("language.layers", [0], LANGUAGE),
            ("language.warm_up", WARM_UP, f"warm_up {LANGUAGE}"),
        ),
        several("config: models", "`vision.num_patches`: 64", {"vision.num_patches": 64}, VISION),
        several(
            "config: models",
            "`vision.source`: another",
            {"sources.tower": {"kind": "random_vision", "seed": 3}, "vision.source": "tower"},
            f"download-tower {VISION}",
        ),
        several(
            "config: models",
            "`language.source`: another",
            {"sources.speaker": {"kind": "random_language", "seed": 3}, "language.source": "speaker"},
            f"download-speaker {LANGUAGE}",
        ),
        # Projectors
        *fields(
            "config: projectors",
            ("projectors.pargo.num_partial_tokens", 2, PARGO),
            ("projectors.pargo.num_global_tokens", 2, PARGO),
            ("projectors.pargo.group_shape", "raster", PARGO),
            ("projectors.pargo.window", [1, 4], PARGO),
            ("projectors.pargo.window", [2, 2], ""),
            ("projectors.pargo.hidden_size", 48, PARGO),
            ("projectors.pargo.num_layers", 1, PARGO),
            ("projectors.pargo.num_heads", 4, PARGO),
            ("projectors.pargo.intermediate_size", 96, PARGO),
            ("projectors.pargo.self_attention", "release", PARGO),
            ("projectors.pargo.cascade", "full", PARGO),
            ("projectors.qformer.num_tokens", 4, QFORMER),
            ("projectors.qformer.hidden_size", 48, QFORMER),
            ("projectors.qformer.num_layers", 1, QFORMER),
            ("projectors.qformer.num_heads", 4, QFORMER),
            ("projectors.qformer.intermediate_size", 96, QFORMER),
            ("projectors.qformer.cross_attention_interval", 1, QFORMER),
            ("projectors.unused", {"name": "linear"}, ""),
        ),
        several(
            "config: projectors",
            "a projector with another name in the table",
            {
                qformer: GONE,
                "projectors.blip": {
                    "name": "qformer",
                    "num_tokens": 5,
                    "hidden_size": 32,
                    "num_layers": 2,
                    "num_heads": 2,
                    "intermediate_size": 64,
                },
                "arms.qformer.projector": "blip",
            },
        ),
        several(
            "config: projectors",
            "an arm with a projector of another kind",
            {"arms.qformer.projector": {"name": "linear"}},
            QFORMER,
        ),
        # Datasets, selection, captions
        several(
            "config: datasets",
            "a dataset with another name",
            {
                "datasets.scenes": GONE,
                "datasets.pics": {"source": "scenes", "shuffle_turns": True},
                "base.pretrain.mixture": {"pics": 1.0},
                "base.finetune.mixture": {"pics": 1.0},
            },
            "report_captions-pics report_tables",
            restorable="select-pics caption-pics filter-pics",
        ),
        several(
            "config: datasets",
            "the source of a dataset with another name",
            {
                "sources.scenes": GONE,
                "sources.pictures": {"kind": "scenes", "num_images": 64, "image_size": 64, "seed": 0},
                "datasets.scenes.source": "pictures",
            },
            "report_captions-scenes report_tables",
            restorable="download-pictures fingerprint-pictures-train features-pictures-train",
        ),
        several(
            "config: datasets",
            "the source of benchmarks with another name",
            {
                "sources.mini_mme": GONE,
                "sources.pictures": {"kind": "mini_mme", "images_per_task": 2, "image_size": 64, "seed": 1},
                "benchmarks.mini_mme.source": "pictures",
                "benchmarks.mini_mme_release.source": "pictures",
            },
            f"select-* score-* {REPORT}",
            restorable="download-pictures fingerprint-pictures-test features-pictures-test",
            note="what an image is too near to is named in the selection",
        ),
        several("config: datasets", "a dataset that no arm uses", {"datasets.spare": {"source": "scenes"}}),
        several("config: datasets", "`datasets.scenes.selection`: as the config's", {"datasets.scenes.selection": {}}),
        several(
            "config: datasets",
            "`datasets.scenes.captions`: as the config's",
            {"datasets.scenes.captions": {"engine": "annotations", "num_shards": 2}},
        ),
        several("config: datasets", "`datasets.scenes.quality`: as the config's", {"datasets.scenes.quality": {}}),
        *fields(
            "config: datasets",
            ("datasets.scenes.selection.min_side", 32, "select-scenes"),
            ("datasets.scenes.captions.engine", "conversation", CAPTION),
            ("datasets.scenes.quality.min_words", 4, "filter-scenes"),
            ("datasets.scenes.shuffle_turns", False, "finetune-*"),
        ),
        several(
            "config: datasets",
            "`datasets.scenes`: the split `test` of another source",
            {
                "sources.easy_vqa": {"kind": "wheel", "max_images": 64},
                "datasets.scenes.source": "easy_vqa",
                "datasets.scenes.split": "test",
            },
            f"download-easy_vqa *-easy_vqa-test select-* filter-* {CAPTION} pretrain-* finetune-* report_tables",
        ),
        *fields(
            "config: selection",
            ("selection.min_side", 32, "select-scenes"),
            ("selection.max_aspect_ratio", 2.0, "select-scenes"),
            ("selection.max_nsfw", 0.5, "select-scenes"),
            ("selection.nsfw_origins", ["scenes"], "select-scenes"),
            ("selection.max_watermark", 0.5, "select-scenes"),
            ("selection.exact_duplicates", False, "select-scenes"),
            ("selection.contamination_distance", 8, "select-scenes"),
            ("selection.contamination_mirrored", False, "select-scenes"),
            ("selection.near_duplicate_distance", 8, "select-scenes"),
            ("selection.num_images", 32, "select-scenes"),
            ("selection.weights", {"scenes": 1.0}, "select-scenes"),
            ("selection.seed", 1, "select-scenes"),
        ),
        *fields(
            "config: captions",
            ("captions.engine", "conversation", CAPTION),
            ("captions.engine", {"kind": "annotations"}, ""),
            ("captions.num_shards", 1, ""),
            ("captions.max_failures", 0.5, ""),
            ("captions.max_failures", 0.001, "caption-scenes"),
        ),
        *fields(
            "config: quality",
            *(
                (f"quality.{name}", False, "filter-scenes")
                for name in ("truncated", "thoughts", "control_tokens", "roles", "labels", "wrapped", "refusals")
            ),
            *((f"quality.{name}", True, "filter-scenes") for name in ("unfinished", "exact_duplicates")),
            ("quality.min_words", 4, "filter-scenes"),
            ("quality.max_words", 300, "filter-scenes"),
            ("quality.max_repetition", 0.4, "filter-scenes"),
            ("quality.max_character_run", 8, "filter-scenes"),
            ("quality.max_repeated_ngrams", 0.2, "filter-scenes"),
            ("quality.max_unseen", 0.5, "filter-scenes"),
            ("quality.languages", ["en"], "filter-scenes"),
            ("quality.near_duplicate_distance", 8, "filter-scenes"),
            ("quality.scorer", {"directory": "clip", "min_similarity": 0.2}, "filter-scenes"),
        ),
        # Training
        *_training("pretrain"),
        *_training("finetune"),
        *fields(
            "config: training",
            ("base.finetune.lora.rank", 4, "finetune-* evaluate-*"),
            ("base.finetune.lora.alpha", 8, "finetune-* evaluate-*"),
            (dropout, 0.1, "finetune-* evaluate-*"),
            ("base.finetune.lora.target_modules", ["q_proj"], "finetune-* evaluate-*"),
            ("base.finetune.lora.learning_rate", 0.002, "finetune-*"),
        ),
        several(
            "config: training",
            "`base.finetune.packing`: false, with dropout",
            {dropout: 0.1, "base.finetune.packing": False},
            "finetune-* evaluate-*",
        ),
        # Answers and scores
        *fields(
            "config: generation",
            ("base.generation.batch_size", 4, ""),
            ("base.generation.precision", "bf16", "evaluate-*"),
            ("base.generation.precision", "fp32", ""),
            ("base.generation.max_new_tokens", 3, "evaluate-*"),
            ("base.generation.num_beams", 2, "evaluate-*"),
            ("base.generation.early_stop", False, "evaluate-*"),
            ("base.generation.num_shards", 2, ""),
            ("base.generation.num_threads", 2, ""),
        ),
        *fields(
            "config: benchmarks",
            ("benchmarks.mini_mme.prompt", "llava", f"evaluate-*-mini_mme score-*-mini_mme {REPORT}"),
            ("benchmarks.mini_mme.parser", "official", ""),
            ("benchmarks.mini_mme.partial", False, f"evaluate-*-mini_mme score-*-mini_mme {REPORT}"),
            (
                "benchmarks.third",
                {"kind": "mini_mme", "source": "mini_mme", "prompt": "llava"},
                f"evaluate-*-third score-*-third {REPORT}",
            ),
            ("benchmarks.mini_mme_release", GONE, REPORT),
        ),
        several(
            "config: benchmarks",
            "`benchmarks.mini_mme_release.parser`: official, as the other's",
            {"benchmarks.mini_mme_release.parser": "official"},
            f"score-*-mini_mme_release {REPORT}",
            restorable="evaluate-*-mini_mme_release",
        ),
        several(
            "config: benchmarks",
            "a benchmark with another name",
            {
                "benchmarks.mini_mme_release": GONE,
                "benchmarks.release": {"kind": "mini_mme", "source": "mini_mme", "parser": "pargo_release"},
            },
            f"score-*-release {REPORT}",
            restorable="evaluate-*-release",
        ),
        several(
            "config: benchmarks",
            "a benchmark more that equals another",
            {"benchmarks.twin": {"kind": "mini_mme", "source": "mini_mme"}},
            f"score-*-twin {REPORT}",
            restorable="evaluate-*-twin",
        ),
        # The report
        *fields(
            "config: report",
            ("report.title", "Another", REPORT),
            ("report.scale", "toy scale", REPORT),
            ("report.attention_images", 1, f"attention-* {REPORT}"),
            ("report.bootstrap_samples", 60, f"score-* {REPORT}"),
            ("report.figure_format", "png", REPORT),
            ("report.latex_width", 240, REPORT),
        ),
        several(
            "config: report",
            "`report.headline_arm` and `reference_arm` exchanged",
            {"report.headline_arm": "qformer", "report.reference_arm": "pargo"},
            REPORT,
        ),
    ]


def _reversed(text: str) -> str:
    data = yaml.safe_load(text)
    for section in ("sources", "benchmarks", "projectors"):
        data[section] = dict(reversed(data[section].items()))
    return str(yaml.safe_dump(dict(reversed(data.items())), sort_keys=False))
