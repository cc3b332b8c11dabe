"""Sources that somebody put there: towers, language models, conversations; and what is missing of them."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pargo import seen
from pargo.captions.engines import make_engine
from pargo.captions.samples import read_samples
from pargo.code import code_hash
from pargo.config.base import canonical_json
from pargo.config.captions import Captions
from pargo.config.experiment import load_config
from pargo.config.models import Language, Vision
from pargo.data.shards import Shards
from pargo.errors import InputError, PargoError
from pargo.graph.stage_settings import download
from pargo.made import Spec, reason_to_remake
from pargo.manifest import read_provenance, verify
from pargo.models.language import load_language_model
from pargo.models.vision import load_vision_tower
from pargo.seen import content
from pargo.sources.download import DownloadSettings, run
from pargo.sources.importers.entries import read_entries
from pargo.sources.needed import missing_files
from pargo.sources.random_models import write_random_language
from pargo.stages import STAGES
from tests.data.test_shards import png

TOWER, TAG = "test_vit2", "r160_in1k"
SHAPE = {"hidden_size": 16, "intermediate_size": 43, "num_hidden_layers": 1, "num_attention_heads": 2}


def fetch(output: Path, **source) -> None:
    run(DownloadSettings.model_validate({"id": "x", "source": source}), output)


# Vision towers --------------------------------------------------------------------------------------------------------


def test_timm_weights_become_a_tower(tmp_path):
    torch.manual_seed(0)
    weights = timm.create_model(TOWER, pretrained=False).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    fetch(tmp_path / "tower", kind="timm", architecture=TOWER, tag=TAG, weights=str(tmp_path / "model.safetensors"))
    verify(tmp_path / "tower")
    stated = json.loads((tmp_path / "tower" / "config.json").read_text())
    published = timm.get_pretrained_cfg(f"{TOWER}.{TAG}")
    assert stated == {"architecture": TOWER, "mean": list(published.mean), "std": list(published.std)}
    loaded = load_file(tmp_path / "tower" / "model.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
    size = timm.create_model(TOWER, pretrained=False).patch_embed.img_size[0]
    vision = Vision(source="tower", architecture=TOWER, image_size=size, num_patches=16, feature_size=64)
    with torch.inference_mode():
        shape = _shape_of(TOWER, size)
    vision = vision.model_copy(update={"num_patches": shape[0], "feature_size": shape[1]})
    assert load_vision_tower(vision, tmp_path / "tower").config.architecture == TOWER


def _shape_of(architecture: str, size: int) -> tuple[int, int]:
    tower = timm.create_model(architecture, pretrained=False).eval()
    (found,) = tower.forward_intermediates(torch.zeros(1, 3, size, size), indices=1, intermediates_only=True)
    return found.shape[2] * found.shape[3], found.shape[1]


def test_the_tower_of_a_whole_clip_is_taken(tmp_path):
    weights = timm.create_model(TOWER, pretrained=False).state_dict()
    clip = {f"visual.trunk.{name}": tensor.half() for name, tensor in weights.items()}
    clip |= {"logit_scale": torch.ones([]), "text.positional_embedding": torch.ones(2, 3)}
    save_file(clip, tmp_path / "open_clip_model.safetensors")
    source = {"kind": "timm", "architecture": TOWER, "tag": TAG}
    fetch(tmp_path / "tower", **source, weights=str(tmp_path / "open_clip_model.safetensors"))
    loaded = load_file(tmp_path / "tower" / "model.safetensors")
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], tensor.half()) for name, tensor in weights.items())
    del clip["visual.trunk.patch_embed.proj.weight"]
    save_file(clip, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(InputError, match=r"missing: patch_embed\.proj\.weight"):
        fetch(tmp_path / "short", **source, weights=str(tmp_path / "open_clip_model.safetensors"))


@pytest.mark.parametrize("path", sorted(Path("config").glob("*.yaml")), ids=lambda path: path.stem)
def test_towers_of_the_configs_are_known_to_timm(path):
    for source in load_config(path).sources.values():
        if source.kind == "timm":
            assert f"{source.architecture}.{source.tag}" in timm.list_pretrained(f"{source.architecture}.*")


def test_other_weights_than_the_architectures_are_listed(tmp_path):
    weights = timm.create_model(TOWER, pretrained=False).state_dict()
    weights["head.bias"] = torch.zeros(3)
    weights["spare"] = torch.zeros(1)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"(?s)head\.bias.*spare|spare.*head\.bias"):
        fetch(tmp_path / "tower", kind="timm", architecture=TOWER, tag=TAG, weights=str(tmp_path / "model.safetensors"))
    assert not (tmp_path / "tower").exists()
    with pytest.raises(InputError, match=f"no weights 'other' of {TOWER}; choices: {TAG}"):
        fetch(tmp_path / "tower", kind="timm", architecture=TOWER, tag="other", weights="any")
    with pytest.raises(InputError, match="no architecture 'nothing'"):
        fetch(
            tmp_path / "tower",
            kind="timm",
            architecture="nothing",
            tag=TAG,
            weights=str(tmp_path / "model.safetensors"),
        )


# Language models ------------------------------------------------------------------------------------------------------


@pytest.fixture
def llama(tmp_path):
    (tmp_path / "llama").mkdir()
    write_random_language(tmp_path / "llama", hidden_size=16, num_layers=1, num_heads=2, seed=0)
    return tmp_path / "llama"


def shape_of(directory: Path) -> dict[str, int]:
    found = json.loads((directory / "config.json").read_text())
    names = (*SHAPE, "num_key_value_heads", "vocab_size")
    return {name: found[name] for name in names}


def test_a_directory_of_transformers_is_taken_as_it_is_without_code(tmp_path, llama):
    (llama / "modeling_evil.py").write_text("raise SystemExit")
    (llama / "pytorch_model.bin").write_bytes(b"pickle")
    fetch(tmp_path / "lm", kind="language_model", path=str(llama), shape=shape_of(llama))
    verify(tmp_path / "lm")
    assert not [path.name for path in (tmp_path / "lm").iterdir() if path.suffix in (".py", ".bin")]
    loaded = load_language_model(Language(source="lm", precision="fp32"), tmp_path / "lm")
    before = load_language_model(Language(source="lm", precision="fp32"), llama)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), before.parameters(), strict=True))


def test_another_shape_than_stated_is_refused(tmp_path, llama):
    with pytest.raises(InputError, match="hidden_size 16, not 32"):
        fetch(tmp_path / "lm", kind="language_model", path=str(llama), shape=shape_of(llama) | {"hidden_size": 32})
    assert not (tmp_path / "lm").exists()


def test_no_language_model_there(tmp_path):
    shape = SHAPE | {"num_key_value_heads": 2, "vocab_size": 10}
    with pytest.raises(PargoError, match=r"neither a \.gguf file nor a directory"):
        fetch(tmp_path / "lm", kind="language_model", path=str(tmp_path / "nothing"), shape=shape)
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="hidden_size None, not 16"):
        fetch(tmp_path / "lm", kind="language_model", path=str(tmp_path / "pickled"), shape=shape)
    (tmp_path / "pickled" / "config.json").write_text(json.dumps({"model_type": "llama"} | shape))
    with pytest.raises(InputError, match=r"no model\*\.safetensors"):
        fetch(tmp_path / "lm", kind="language_model", path=str(tmp_path / "pickled"), shape=shape)
    (tmp_path / "pickled" / "config.json").write_text("[]")
    with pytest.raises(InputError, match="expected a mapping"):
        fetch(tmp_path / "lm", kind="language_model", path=str(tmp_path / "pickled"), shape=shape)


# Conversations --------------------------------------------------------------------------------------------------------


def entry(image: str | None = "a/1.png", *turns: tuple[str, str]) -> dict:
    turns = turns or (("<image>\nWhat is it?", "A dot."),)
    said = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    return ({} if image is None else {"image": image}) | {"id": "any", "conversations": said}


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "1.png").write_bytes(png(1))
    Image.new("RGB", (9, 5), "red").save(tmp_path / "images" / "2.jpg")
    return tmp_path / "images"


def bring(tmp_path: Path, images: Path, *entries: object, **settings: object) -> Path:
    (tmp_path / "list.json").write_text(json.dumps(list(entries)))
    fetch(
        tmp_path / "out",
        kind="conversations",
        annotations=(str(tmp_path / "list.json"),),
        images=str(images),
        **settings,
    )
    return tmp_path / "out"


def test_conversations_become_shards(tmp_path, images):
    long = entry("2.jpg", ("Is it red?\n<image>", "Yes"), ("And\nblue?", "No,\n\nit is not."))
    output = bring(tmp_path, images, entry(), entry(None, ("Hello?", "Hi.")), long)
    verify(output)
    shards = Shards(output / "train")
    assert shards.ids == ["0000000", "0000002"]
    assert shards.record("0000002")["conversation"] == [["Is it red?", "Yes"], ["And\nblue?", "No, it is not."]]
    assert shards.record("0000002")["file"] == "2.jpg"
    assert shards.read("0000000") == png(1)
    assert shards.load("0000002").size == (9, 5)
    assert json.loads((output / "counts.json").read_text()) == {
        "samples": 2,
        "without_image": 1,
        "questions": 3,
        "words_asked": 8,
        "words_answered": 7,
        "broken": 0,
        "reasons": {},
        "unknown_fields": {},
        "origins": {},
    }
    (caption,) = make_engine(Captions(engine="conversation")).caption(read_samples(shards, ["0000000"]))
    assert caption.caption == "A dot."


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (entry("../secret.png"), "leaves the folder"),
        (entry("/etc/passwd.png"), "leaves the folder"),
        (entry("link.png"), "leaves the folder"),
        (entry("list.json"), "no name that ends in one of .gif"),
        (entry(["2.jpg", "a/1.png"]), "entry 1: 2 images are named"),
        (entry(7), "image 7 is no name that ends in one of"),
        (entry("gone.png"), "entry 1: cannot read image 'gone.png'"),
        (entry("a\0.png"), "entry 1: cannot read image"),
        (entry("folder.png"), "no file of at most"),
        ({"image": "2.jpg", "conversations": [{"from": "gpt", "value": "x"}]}, "from human and gpt in turn"),
        ({"image": "2.jpg"}, "from human and gpt in turn"),
        ({"image": "2.jpg", "conversations": {"from": "human"}}, "from human and gpt in turn"),
        ({"image": "2.jpg", "conversations": ["text"]}, "from human and gpt in turn"),
        (entry("2.jpg", ("Is it?", None)), "a text as the value of every turn"),
        ({"image": "2.jpg", "question": "Is it?"}, "expected an answer, or a list of texts"),
        ({"image": "2.jpg", "question": "Is it?", "answers": [1]}, "expected an answer, or a list of texts"),
        ({"image": "2.jpg", "question": 3, "answer": "Yes"}, "a text as the value of every turn"),
        ({"image": "2.jpg", "caption": None}, "a text as the value of every turn"),
        ("text", "entry 1: expected a mapping with an image and text"),
    ],
)
def test_a_bad_entry_is_named_and_nothing_is_left(tmp_path, images, bad, message):
    (tmp_path / "outside.png").write_bytes(png(2))
    (images / "link.png").symlink_to(tmp_path / "outside.png")
    (images / "folder.png").mkdir()
    with pytest.raises(PargoError, match=message):
        bring(tmp_path, images, entry(), bad)
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_is_named(tmp_path, images):
    (images / "2.jpg").write_bytes((images / "2.jpg").read_bytes()[:200])
    with pytest.raises(InputError, match=r"entry 0: cannot read image .*2\.jpg"):
        bring(tmp_path, images, entry("2.jpg"))


def test_some_bad_entries_are_left_out_and_listed(tmp_path, images):
    said = [{"role": "user", "content": "Red?"}, {"role": "assistant", "content": "Yes"}]
    chat = {"image": "2.jpg", "messages": said}
    output = bring(tmp_path, images, entry(), entry("gone.png"), chat | {"mood": 1}, "text", max_broken=0.5)
    verify(output)
    shards = Shards(output / "train")
    assert shards.ids == ["0000000", "0000002"]
    assert shards.record("0000002")["conversation"] == [["Red?", "Yes"]]
    rows = [json.loads(line) for line in (output / "broken.jsonl").read_text().splitlines()]
    assert [(row["file"], row["entry"]) for row in rows] == [("list.json", 1), ("list.json", 3)]
    assert "cannot read image 'gone.png'" in rows[0]["reason"]
    counts = json.loads((output / "counts.json").read_text())
    assert (counts["samples"], counts["broken"], counts["unknown_fields"]) == (2, 2, {"mood": 1})
    (tmp_path / "again").mkdir()
    with pytest.raises(PargoError, match=r"entry 3: expected a mapping.* left out: 2 of 4; max_broken allows 25"):
        bring(tmp_path / "again", images, entry(), entry("gone.png"), chat, "text", max_broken=0.25)


def test_questions_and_captions_are_conversations_too(tmp_path, images):
    output = bring(
        tmp_path,
        images,
        {"image": "2.jpg", "question": "Which color?", "answer": "red", "question_id": 7},
        {"image": "2.jpg", "question": "Which shape?", "answers": ["dot", "line", "line", "dot", "circle"]},
        {"image_id": "x", "image_path": "a/1.png", "caption": "A dot\non white."},
        entry("2.jpg"),
        answer_hint="Answer with one word.",
    )
    shards = Shards(output / "train")
    assert [shards.record(name)["conversation"] for name in shards.ids] == [
        [["Which color?\nAnswer with one word.", "red"]],
        [["Which shape?\nAnswer with one word.", "dot"]],  # of equally frequent answers, the first
        [["", "A dot on white."]],
        [["What is it?", "A dot."]],
    ]
    assert json.loads((output / "counts.json").read_text())["unknown_fields"] == {}
    (caption,) = make_engine(Captions(engine="conversation")).caption(read_samples(shards, ["0000002"]))
    assert caption.caption == "A dot on white."


def test_entries_of_one_image_become_one_conversation(tmp_path, images):
    hint = "Answer with one word."
    output = bring(
        tmp_path,
        images,
        {"image": "2.jpg", "question": "Which color?", "answer": "red"},
        entry("a/1.png"),
        {"image": "2.jpg", "question": f"Say it:\n{hint}", "answer": "round"},
        entry("2.jpg", ("Is it red?", "Yes"), ("Is it blue?", "No")),
        merge=True,
        answer_hint=hint,
    )
    shards = Shards(output / "train")
    assert shards.ids == ["0000000", "0000001"]
    assert shards.record("0000000")["conversation"] == [
        [f"Which color?\n{hint}", "red"],
        [f"Say it:\n{hint}", "round"],  # the text's own line stays
        ["Is it red?", "Yes"],
        ["Is it blue?", "No"],
    ]
    counts = json.loads((output / "counts.json").read_text())
    assert (counts["samples"], counts["merged"], counts["questions"]) == (2, 2, 5)


def test_all_entries_of_an_image_that_is_missing_are_counted(tmp_path, images):
    lost = [{"image": "gone.png", "question": f"{number}?", "answer": "x"} for number in range(4)]
    with pytest.raises(InputError, match="Entries left out: 4 of 6"):
        bring(tmp_path, images, entry(), entry("2.jpg"), *lost, merge=True, max_broken=0.5)
    output = bring(tmp_path, images, entry(), entry("2.jpg"), *lost, merge=True, max_broken=0.7)
    assert len((output / "broken.jsonl").read_text().splitlines()) == 4


def test_the_hint_stands_where_the_first_question_is(tmp_path, images):
    rows = [
        {"image": "2.jpg", "caption": "a red square"},
        {"image": "2.jpg", "question": "Which?\nBlue\nNone", "answer": "None"},
    ]
    output = bring(tmp_path, images, *rows, merge=True)
    assert Shards(output / "train").record("0000000")["conversation"][1] == ["Which?\nBlue\nNone", "None"]


def test_a_list_with_a_byte_order_mark(tmp_path, images):
    (tmp_path / "list.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([entry()]).encode())
    fetch(tmp_path / "out", kind="conversations", annotations=(str(tmp_path / "list.json"),), images=str(images))


def test_origins_and_licences_by_the_first_folder(tmp_path, images):
    output = bring(tmp_path, images, entry(), entry("2.jpg"), licences={"a": "CC0", "b": "unknown"})
    shards = Shards(output / "train")
    assert [shards.record("0000000")[name] for name in ("origin", "licence")] == ["a", "CC0"]
    assert "licence" not in shards.record("0000001")
    origins = json.loads((output / "counts.json").read_text())["origins"]
    assert origins == {"a": {"samples": 1, "questions": 1, "words_asked": 3, "words_answered": 2}}


def test_files_of_lines(tmp_path, images):
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in (entry(), entry("2.jpg"))) + "\n\n")
    settings = {"kind": "conversations", "annotations": (str(path),), "images": str(images)}
    fetch(tmp_path / "out", **settings)
    assert Shards(tmp_path / "out" / "train").ids == ["0000000", "0000001"]
    path.write_text(json.dumps(entry("2.jpg", ("Is it?", "\ud800"))))  # half a character
    with pytest.raises(InputError, match="a text as the value of every turn"):
        fetch(tmp_path / "half", **settings)
    path.write_text(json.dumps(entry()) + "\n{")
    with pytest.raises(InputError, match=r"list\.jsonl, entry 1: line 2: not valid JSON"):
        fetch(tmp_path / "cut", **settings)
    path.write_text("\ufeff" + json.dumps(entry()) + "\n{\n" + "[" * 100_000)
    fetch(tmp_path / "some", **settings, max_broken=0.7)
    assert Shards(tmp_path / "some" / "train").ids == ["0000000"]
    broken = [json.loads(line) for line in (tmp_path / "some" / "broken.jsonl").read_text().splitlines()]
    assert [row["entry"] for row in broken] == [1, 2]


@pytest.mark.parametrize("text", ["{}", "[1, ", "", "[1] x", '["\xff"]', "null"])
def test_a_broken_list_names_its_file(tmp_path, images, text):
    path = tmp_path / "list.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"list\.json"):
        fetch(tmp_path / "out", kind="conversations", annotations=(str(path),), images=str(images), max_broken=1.0)


def test_a_long_list_is_read_entry_by_entry(tmp_path):
    path = tmp_path / "long.json"
    row = json.dumps(entry("2.jpg", ("x" * 1000, "y" * 1000)))
    path.write_text("[" + ",".join([row] * 20_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in read_entries(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 10


def test_a_hopeless_list_ends_early(tmp_path, images):
    with pytest.raises(InputError, match="Entries left out: 1000 of 1000"):
        bring(tmp_path, images, *[entry("gone.png")] * 1500, max_broken=0.9)


def test_a_list_without_any_image_is_refused(tmp_path, images):
    with pytest.raises(InputError, match="no entry has an image"):
        bring(tmp_path, images, entry(None, ("Hello?", "Hi.")))


# The paper's ----------------------------------------------------------------------------------------------------------


def test_what_only_a_person_can_fetch_is_known_before_anything_runs(tmp_path, monkeypatch):
    config = load_config("config/paper.yaml")
    monkeypatch.chdir(tmp_path)
    assert missing_files(config, done=lambda name: False) == {"instructions": ["data/images/ocr_vqa/images"]}
    assert missing_files(config, done=lambda name: name == "instructions") == {}
    Path("data/images/ocr_vqa/images").mkdir(parents=True)
    assert missing_files(config, done=lambda name: False) == {}
    assert missing_files(load_config(Path(__file__).parents[2] / "config/quick.yaml"), done=lambda name: False) == {}


def test_files_that_no_download_brings_have_to_be_there(tmp_path, monkeypatch):
    config = load_config("config/paper.yaml")
    monkeypatch.chdir(tmp_path)
    own = config.sources["short_captions"].model_copy(update={"downloads": ()})
    other = config.sources["mme"].model_copy(update={"files": ("data/mme/x.zip", "mine/x.zip")})
    changed = config.model_copy(update={"sources": config.sources | {"short_captions": own, "mme": other}})
    missing = missing_files(changed, done=lambda name: name == "instructions")
    assert missing == {
        "short_captions": [*own.annotations, "data/images/llava/llava_pretrain/images"],
        "mme": ["mine/x.zip"],
    }


def test_imported_files_may_be_deleted_but_not_changed(tmp_path, images):
    """Contents count, and not times; what is gone is no reason, and an import that fails leaves the old one."""
    source = {"kind": "conversations", "annotations": (str(tmp_path / "list.json"),), "images": str(images)}
    annotations, output = tmp_path / "list.json", tmp_path / "out"
    settings = DownloadSettings.model_validate({"id": "x", "source": source})
    given, stage = json.loads(canonical_json(settings)), STAGES["download"]

    def reason() -> str:
        code, local = code_hash(stage.code_files(given)), stage.local_files(given)
        return reason_to_remake(output, Spec("download", given, code, (), local=local))

    annotations.write_text(json.dumps([entry()]))
    run(settings, output, run_directory=tmp_path / "runs")
    assert reason() == ""
    assert read_provenance(output)["local"].keys() == {str(annotations)}
    os.utime(annotations, (1, 1))
    assert reason() == ""
    before = annotations.read_bytes()
    annotations.write_bytes(before.replace(b"[", b" ["))
    assert reason() == f"a file of yours changed: {annotations}"
    annotations.write_bytes(before)
    assert reason() == ""
    annotations.unlink()
    assert reason() == ""
    with pytest.raises(PargoError):
        run(settings, output)
    verify(output)
    assert reason() == ""


def test_contents_of_folders_are_read_once(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("a")
    whole, one = content(folder), content(folder / "sub" / "a")
    assert len({whole, one, ""}) == 3
    monkeypatch.setattr(seen, "sha256_file", lambda path: pytest.fail(f"{path} is read again"))
    assert (content(folder), content(folder / "sub" / "a")) == (whole, one)
    monkeypatch.undo()
    (folder / "sub" / "a").rename(folder / "b")
    assert content(folder) not in ("", whole)
    (folder / "b").unlink()
    assert content(folder) == content(tmp_path / "nothing") == ""


def test_a_better_estimate_imports_nothing_again():
    config = load_config("config/paper.yaml")
    source = config.sources["instructions"]
    better = source.model_copy(update={"estimate": source.estimate.model_copy(update={"num_images": 80})})
    changed = config.model_copy(update={"sources": config.sources | {"instructions": better}})
    assert canonical_json(download(config, "instructions")) == canonical_json(download(changed, "instructions"))
