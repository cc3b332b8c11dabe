"""Stage filter: every caption ends kept or dropped with its reason, and the numbers add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pargo.captions.filter import FilterSettings, run
from pargo.captions.quality import ALL_RULES
from pargo.captions.statistics import DETAILS, Statistics
from pargo.code import code_hash
from pargo.config.quality import Quality, Scorer
from pargo.errors import PargoError
from pargo.layout import manifest_path
from pargo.made import Spec, reason_to_remake
from pargo.manifest import publish, verify
from pargo.sources.scenes import draw_scene, encode_png, render
from pargo.stages import STAGES
from tests.helpers.caption_world import record, write_source


def write_captions(directory: Path, texts: list[str], failures: list[str] = (), **known) -> Path:
    """An artifact as the stage caption makes it."""
    rows = [{"id": f"{index:06d}", "caption": text, "model": None} | known for index, text in enumerate(texts)]
    lost = [{"id": f"x{index}", "reason": reason, "kind": "permanent"} for index, reason in enumerate(failures)]
    with publish(directory, settings={}) as folder:
        for name, found in (("captions", rows), ("failures", lost)):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return directory


def filtered(tmp_path: Path, texts: list[str], quality: Quality, name: str = "out", image=b"", **known):
    source = write_source(tmp_path / f"{name}-source", [record() | {"origin": "web"}] * len(texts), image)
    captions = write_captions(
        tmp_path / f"{name}-captions", texts, ["refused: no", "refused: bad", "empty reply"], **known
    )
    run(FilterSettings(split="train", quality=quality), captions, source, tmp_path / name)
    return tmp_path / name


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_artifact(tmp_path):
    texts = ["a red  circle\nat the top", "", "a b", "a blue square"]
    output = filtered(tmp_path, texts, Quality(), model="m", prompt="scene-1")
    verify(output)
    assert lines(output / "captions.jsonl") == [
        {"id": "000000", "caption": "a red circle at the top"},
        {"id": "000003", "caption": "a blue square"},
    ]
    assert lines(output / "dropped.jsonl") == [
        {"id": "000001", "caption": "", "reason": "empty"},
        {"id": "000002", "caption": "a b", "reason": "too_short"},
    ]
    numbers = json.loads((output / "statistics.json").read_text())
    assert (numbers["num_images"], numbers["num_captions"]) == (7, 2)
    assert numbers["failures"] == {"empty reply": 1, "refused": 2}
    assert (numbers["model"], numbers["prompt"]) == ({"m": 4}, {"scene-1": 4})
    assert numbers["origins"]["web"]["kept"] == 2
    assert set(numbers["dropped"]) == set(ALL_RULES)


def test_the_same_twice(tmp_path):
    for name in ("a", "b"):
        filtered(tmp_path, ["one red shape"], Quality(), name)
    assert manifest_path(tmp_path / "a").read_bytes() == manifest_path(tmp_path / "b").read_bytes()


def test_thoughts_are_cut_and_counted(tmp_path):
    caption = "A red square lies there."
    texts = [
        f"<think>\nA square?\n</think>\n\n{caption}",
        caption,
        "<think>A square",
        "<think>a</think> ASSISTANT:\nA cat.",
    ]
    output = filtered(tmp_path, texts, Quality())
    assert [row["caption"] for row in lines(output / "captions.jsonl")] == [caption, caption]
    assert lines(output / "dropped.jsonl") == [
        {"id": "000002", "caption": "<think>A square", "reason": "thoughts"},
        {"id": "000003", "caption": "ASSISTANT: A cat.", "reason": "role"},
    ]
    numbers = json.loads((output / "statistics.json").read_text())
    assert numbers["cut"] == {"thoughts": 2}
    assert {name: count for name, count in numbers["dropped"].items() if count} == {"thoughts": 1, "role": 1}
    raw = lines(tmp_path / "out-captions" / "captions.jsonl")
    assert [row["caption"] for row in raw] == texts
    kept = filtered(tmp_path, texts, Quality(thoughts=False, roles=False), "kept")
    assert len(lines(kept / "captions.jsonl")) == 4
    once = filtered(tmp_path, texts, Quality(exact_duplicates=True), "once")
    assert [row["reason"] for row in lines(once / "dropped.jsonl")] == ["duplicate", "thoughts", "role"]


def test_all_dropped(tmp_path):
    with pytest.raises(PargoError, match=r"dropped all 2 captions \(empty 1, too_short 1\)"):
        filtered(tmp_path, ["", "a"], Quality())
    assert not (tmp_path / "out").exists()


def test_duplicates(tmp_path):
    long = " ".join(f"{number} chairs by table {number * 7 + 1}, {number + 300} of them red." for number in range(20))
    near = long.replace("chairs", "benches", 1)
    texts = ["one red shape", "One red shape!", long, near, "one blue shape"]
    assert len(lines(filtered(tmp_path, texts, Quality(), "none") / "captions.jsonl")) == 5
    exact = filtered(tmp_path, texts, Quality(exact_duplicates=True), "exact")
    assert [(row["id"], row["reason"]) for row in lines(exact / "dropped.jsonl")] == [("000001", "duplicate")]
    both = filtered(tmp_path, texts, Quality(near_duplicate_distance=32), "near")
    assert [(row["id"], row["reason"]) for row in lines(both / "dropped.jsonl")] == [
        ("000001", "near_duplicate"),
        ("000003", "near_duplicate"),
    ]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["", "a", "a red dog", "a red dog", "a blue cat at home", "I cannot see it"]), min_size=1)
)
def test_every_caption_is_kept_or_dropped_once(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("filter")
    quality = Quality(exact_duplicates=True, near_duplicate_distance=0)
    if all(text in ("", "a", "I cannot see it") for text in texts):
        with pytest.raises(PargoError, match="dropped all"):
            filtered(folder, texts, quality)
        return
    output = filtered(folder, texts, quality)
    kept, dropped = lines(output / "captions.jsonl"), lines(output / "dropped.jsonl")
    assert sorted(row["id"] for row in kept + dropped) == [f"{index:06d}" for index in range(len(texts))]
    numbers = json.loads((output / "statistics.json").read_text())
    assert numbers["num_captions"] == len(kept) == len({row["caption"] for row in kept})
    assert sum(numbers["dropped"].values()) == len(dropped)


def test_statistics():
    numbers = Statistics()
    for text in ("one shape: red circle.",) * 2 + ("two shapes: red circle top left, word cat top right.",):
        numbers.add(text, None, {})
    numbers.add("", "empty", {"origin": "web", "licence": "CC0"})
    found = numbers.result({"refused": 3})
    assert (found["num_images"], found["num_captions"], found["num_distinct"]) == (7, 3, 2)
    assert found["words"] == {
        "min": 4,
        "p5": 4,
        "median": 4,
        "mean": 6.0,
        "p95": 10,
        "max": 10,
        "histogram": {"4": 2, "10": 1},
    }
    assert found["details"] == {"position": 1.333, "color": 1.0, "count": 1.0, "text": 0.333}
    assert set(found["details"]) == set(DETAILS)
    assert found["origins"]["web"]["dropped"]["empty"] == 1
    assert found["licence"] == {"CC0": 1}


def test_lengths_of_other_scripts_are_in_words(tmp_path):
    texts = ["一只棕色的狗躺在灰色的沙发上。", "A brown dog lies on a grey sofa.", "狗", "สุนัขสีน้ำตาลนอนอยู่บนโซฟาสีเทา"]
    output = filtered(tmp_path, texts, Quality())
    assert [row["reason"] for row in lines(output / "dropped.jsonl")] == ["too_short"]
    numbers = json.loads((output / "statistics.json").read_text())
    assert numbers["words"]["histogram"] == {"6": 1, "7": 1, "8": 1}


# A scorer -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A small CLIP with random weights."""
    directory = tmp_path_factory.mktemp("clip") / "model"
    with publish(directory, settings={}) as folder:
        write_clip(folder)
    return directory


def write_clip(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", "red", "blue", "a"])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **special)
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = size | {"vocab_size": 7, "max_position_embeddings": 16}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=size | {"image_size": 32, "patch_size": 16}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)


def test_a_scorer_drops_what_fits_its_image_least(tmp_path, clip):
    from pargo.captions.scorer import similarities
    from pargo.data.shards import Shards

    image = encode_png(render(draw_scene(0, 0), 64))
    texts = ["a red a blue", "blue red. a a red", "a a blue"]
    quality = Quality(scorer=Scorer(directory=str(clip), min_similarity=-1.0), max_repetition=1.0)
    output = filtered(tmp_path, texts, quality, "all", image)
    assert len(lines(output / "captions.jsonl")) == 3
    shards = Shards(tmp_path / "all-source" / "train")
    pairs = list(zip(shards.ids, texts, strict=True))
    scores, least = map(list, zip(*similarities(clip, pairs, shards, 2), strict=True))
    assert scores == pytest.approx([mean for mean, _ in similarities(clip, pairs, shards, 1)], abs=1e-5)
    parts = [mean for mean, _ in similarities(clip, [("000001", "blue red."), ("000001", "a a red")], shards, 1)]
    assert least == pytest.approx([scores[0], min(parts), scores[2]], abs=1e-5)
    assert scores[1] == pytest.approx(sum(parts) / 2, abs=1e-5)
    middle = sorted(scores)[1]
    quality = Quality(scorer=Scorer(directory=str(clip), min_similarity=middle - 1e-4), max_repetition=1.0)
    output = filtered(tmp_path, texts, quality, "some", image)
    (row,) = lines(output / "dropped.jsonl")
    assert (row["reason"], row["id"]) == ("dissimilar", f"{scores.index(min(scores)):06d}")
    limits = {"min_similarity": -1.0, "min_sentence_similarity": sorted(least)[1] - 1e-4}
    quality = Quality(scorer=Scorer(directory=str(clip), **limits), max_repetition=1.0)
    (row,) = lines(filtered(tmp_path, texts, quality, "sentence", image) / "dropped.jsonl")
    assert (row["reason"], row["id"]) == ("dissimilar", f"{least.index(min(least)):06d}")


def test_another_scorer_in_the_same_folder_is_a_reason(tmp_path, clip):
    quality = Quality(scorer=Scorer(directory=str(clip), min_similarity=-1.0), max_repetition=1.0)
    image = encode_png(render(draw_scene(0, 0), 64))
    output, settings = filtered(tmp_path, ["a red a blue"], quality, "out", image), {"split": "train"}
    settings["quality"] = json.loads(quality.model_dump_json())
    stage = STAGES["filter"]
    paths = (tmp_path / "out-captions", tmp_path / "out-source")

    def reason() -> str:
        local = stage.local_files(settings)
        return reason_to_remake(
            output, Spec("filter", settings, code_hash(stage.code_files(settings)), paths, local=local)
        )

    assert reason() == ""
    (clip / "model.safetensors").write_bytes(b"another")
    assert reason() == f"a file of yours changed: {clip}"
    (clip / "model.safetensors").unlink()
    for path in clip.iterdir():
        path.unlink()
    assert reason() == ""  # nothing can be made from what is gone


def test_no_scorer(tmp_path):
    quality = Quality(scorer=Scorer(directory=str(tmp_path), min_similarity=0.1))
    with pytest.raises(PargoError, match=r"quality\.scorer: cannot load"):
        filtered(tmp_path, ["one red shape"], quality)
