"""Every command with every kind of wrong argument: what is given, and what the error must name.

Read by the test of exit codes and words, and by the bench that times them. Paths are relative to a folder that
`make_files` fills.
"""

from __future__ import annotations

import json
from pathlib import Path

from pargo.code import ROOT

MICRO = "config/micro.yaml"
SETTINGS = ("--settings", "{}")
STAGE = (*SETTINGS, "--output", "out", "--run-directory", "run")

# configs that cannot be, by name: their text, and what is said
CONFIGS = {
    "missing": (None, "does not exist"),
    "folder": (None, "is a folder"),
    "empty": ("", "is empty"),
    "binary": ("\x7fELF\x00\x01", "control characters"),
    "latin": ("name: caf\udce9\n", "no text in UTF-8"),
    "tabs": ("name: x\nbase:\n\tprojector: pargo\n", ":3: not valid YAML: a tab"),
    "broken": ("name: [\n", ":2: not valid YAML"),
    "twice": ("name: a\nname: b\n", ":2: key 'name' twice"),
    "list": ("- 1\n", "expected a mapping of settings, got a list"),
    "text": ("hello\n", "expected a mapping of settings, got text"),
    "nothing": ("# nothing\n", "expected a mapping of settings, got nothing"),
    "tag": ("name: !!python/object:os.system x\n", "a tag"),
    "key": ("? [a, b]\n: 1\n", "a key must be text"),
    "seeds": ("seeds: [0]|seeds: 0", "seeds: 0 is not valid: expected a list"),
    "no_seeds": ("seeds: [0]|seeds: []", "seeds: [] is not valid: expected at least 1 item"),
    "arms": ("\narms:|\narms: []\nthose:", "arms: required, expected a mapping, got a list"),
    "kind": (
        "kind: random_vision|kind: random_visoin",
        "sources.vision_tower.kind: 'random_visoin' is not valid; choices",
    ),
    "number": ("num_samples: 16|num_samples: many", "num_samples: 'many' is not valid: expected a whole number"),
    "unknown": ("name: micro|name: micro\nnmae: x", "nmae: unknown key; did you mean 'name'?"),
    "name": ("name: micro|name: My run", "expected a name: lower-case letters"),
}
CONFIG_COMMANDS = (
    ("config", "check"),
    ("reproduce", "--config"),
    ("plan", "--config"),
    ("status", "--config"),
    ("why", "report_page", "--config"),
    ("accept", "report_page", "--reason", "x", "--config"),
    ("data", "ls", "--config"),
    ("data", "size", "--config"),
    ("data", "verify", "--config"),
    ("data", "fetch", "--config"),
    ("versions", "record", "--config"),
    ("versions", "write", "--config"),
    ("versions", "restore", "--config"),
    ("versions", "status", "--config"),
)
EVERY_CONFIG = ("config", "check")  # the others get the first three, and one that is YAML but no config
SOME = ("missing", "folder", "broken", "seeds")

ARGUMENTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("nosuch",), "No such command 'nosuch'"),
    (("exprot", "a", "b"), "Did you mean 'export'"),
    (("data", "nosuch"), "No such command 'nosuch'"),
    (("report", "nosuch"), "No such command 'nosuch'"),
    (("config", "check"), "Missing argument 'FILE'"),
    (("export",), "Missing argument 'RUN'"),
    (("export", "--nosuch"), "No such option: --nosuch"),
    # the whole experiment
    (("reproduce", "--until", "training"), "--until: 'training' is not known; did you mean 'pretrain'?; choices: down"),
    (("reproduce", "--cores", "0"), "--cores: '0' is not valid: expected at least 1"),
    (("reproduce", "--cores", "two"), "--cores: 'two' is not valid: expected a whole number"),
    (("reproduce", "--on-interrupt", "stop"), "--on-interrupt: 'stop' is not one of 'ask', 'detach', 'cancel'"),
    (
        ("reproduce", "--profile", "workflow/profiles/slrum"),
        "did you mean workflow/profiles/slurm?; profiles: workflow/",
    ),
    (("reproduce", "--profile", "slurm"), "slurm does not exist; did you mean workflow/profiles/slurm?"),
    (("reproduce", "--profile", "workflow/rules"), "workflow/rules has no profile.yaml; profiles: workflow/profiles/"),
    (("reproduce", "--profile", "workflow/profiles/slurm/jobs.yaml"), "jobs.yaml is a file"),
    (("reproduce", "--profile", "{files}/profile"), "pretrain: there is no jobs file nowhere.yaml"),
    (("reproduce", "--profile", "{files}/broken_profile"), "profile.yaml:3: not valid YAML"),
    # what a config costs
    (("gc", "--all"), "--all: needs --yes; without it nothing is removed"),
    (("plan", "--gpu", "H900"), "--gpu: 'H900' is not known; did you mean 'H200'?; choices: A10, A100, H100"),
    (("plan", "--mfu", "7"), "--mfu: '7' is not valid: expected at most 1"),
    (("plan", "--mfu", "x"), "--mfu: 'x' is not valid: expected a number"),
    (("plan", "--mfu", "nan"), "--mfu: 'nan' is not valid: expected at most 1"),
    (("plan", "--jobs", "nosuch.yaml"), "--jobs: nosuch.yaml does not exist"),
    (("plan", "--jobs", "config"), "--jobs: config is a folder"),
    (("plan", "--jobs", "{files}/jobs.yaml"), "jobs.yaml: poll_seconds: 'often' is not valid: expected a number"),
    # files of a config
    (("data", "fetch", "nosuch", "--config", MICRO), "download 'nosuch' is no row of pargo/fetch/downloads.yaml"),
    # jobs
    (("logs", "nosuch"), "no job 'nosuch' below"),
    (("cancel", "nosuch"), "no job 'nosuch' below"),
    (("cancel",), "`cancel` takes ids, or --all"),
    (("cancel", "1", "--all"), "`cancel` takes ids, or --all"),
    # scores
    (("score", "nosuch", "README.md"), "NAME: 'nosuch' is not known; choices: details, easy_vqa, mini_mme"),
    (("score", "mnbench", "README.md"), "did you mean 'mmbench'?"),
    (("score", "mme", "nosuch"), "INPUT: nosuch does not exist"),
    (("score", "mme", "README.md"), "README.md"),
    (("score", "mme", "{files}/none"), "none"),
    (("score", "pope", "README.md", "README.md"), "README.md"),
    (("score", "mmbench", "README.md"), "README.md"),
    (("score", "seedbench", "README.md", "README.md"), "README.md"),
    (("score", "mmvet", "README.md", "README.md"), "README.md"),
    (("score", "mme", "config", "--parser", "nosuch"), "mme has no parser 'nosuch'; choices: official"),
    (("score", "mme", "config", "--samples", "0"), "--samples: '0' is not valid: expected at least 1"),
    (("score", "mme", "config", "--output", "config"), "--output: config is a folder"),
    (("score", "predictions", "config"), "`score predictions` takes one directory"),
    (("compare", "nosuch", "config"), "RUN_A: nosuch does not exist"),
    (("compare", "nosuch"), "RUN_A: nosuch does not exist"),
    (("compare", "README.md"), "RUN_B: a run is compared with another run"),
    (("compare", "config", "config", "--config", "config/quick.yaml"), "--config: goes with commits; these are runs"),
    (("trace", "nosuch", "pargo", "x"), "TABLE: 'nosuch' is not known; choices: projectors"),
    (("trace", "projectors", "parg", "x"), "ROW: 'parg' is not known; did you mean 'pargo'?"),
    (("trace", "projectors", "pargo", "x"), "COLUMN: 'x' is not known; choices: tokens"),
    (("compare", "README.md", "README.md"), "README.md is not a score file"),
    (("compare", "config", "config"), "config holds neither score files"),
    (("judge", "a", "b", "c", "--base-url", "https://h/v1", "--model", "m"), "META: a does not exist"),
    (
        ("judge", "README.md", "README.md", "{files}/c", "--base-url", "x", "--model", "m"),
        "--base-url: 'x': expected an address",
    ),
    (
        ("judge", "README.md", "README.md", "{files}/c", "--base-url", "https://h/v1", "--model", "m"),
        "README.md",
    ),
    # models for others
    (("export", "nosuch", "out"), "RUN: nosuch does not exist"),
    (("export", "README.md", "out"), "RUN: README.md is a file, expected a folder"),
    (("export", "config", "out"), "RUN: config has no config.json"),
    (
        ("export", "{files}/model", "config"),
        "RUN: {files}/model is not below artifacts/<config>/models: say with --lang",
    ),
    (("export", "{files}/other", "out"), "RUN: {files}/other is no fine-tuned or converted model"),
    (("export", "{files}/model", "out", "--dtype", "int8"), "--dtype: 'int8' is not known; choices: bfloat16, float32"),
    (("export", "{files}/model", "out", "--shard-size", "big"), "--shard-size: 'big': expected a number and KB, MB"),
    (("export", "{files}/model", "out", "--compare", "-1"), "--compare: '-1' is not valid: expected at least 0"),
    (("export", "{files}/model", "out", "--language", "nosuch"), "--language: nosuch does not exist"),
    (
        ("export", "{files}/model", "config", "--language", "{files}/other", "--vision", "{files}/other"),
        "DIR: config exists already",
    ),
    (("chat", "nosuch", "img"), "IMAGE: img does not exist"),
    (("chat", "nosuch", "README.md"), "IMAGE: cannot read image README.md: expected one of JPEG"),
    (("chat", "nosuch", "{files}/image.png"), "DIR: nosuch does not exist"),
    (
        ("chat", "{files}/model", "{files}/image.png"),
        "DIR: {files}/model holds no exported model: its config.json names no model_type",
    ),
    (("chat", "{files}/other", "{files}/image.png"), "holds no exported model: its config.json says 'llama'"),
    (("chat", "x", "{files}/image.png", "--save-attention", "a.txt"), "a.txt is neither a .png nor a .svg file"),
    (("serve", "nosuch"), "DIR: nosuch does not exist"),
    (("serve", "config"), "DIR: config holds no exported model: it has no config.json"),
    (("convert-release", "nosuch.pt", "out"), "CKPT: nosuch.pt does not exist"),
    (("convert-release", "README.md", "out"), "CKPT: README.md is no checkpoint of torch"),
    (("convert-release", "config", "out"), "CKPT: config is a folder"),
    (("convert-release", "{files}/empty.yaml", "out"), "is empty"),
    (("convert-language", "nosuch", "out"), "SOURCE: nosuch does not exist"),
    (("convert-language", "README.md", "out"), "SOURCE: README.md is neither a GGUF file (named .gguf) nor a folder"),
    (("convert-language", "{files}/other", "out"), "holds a model of the kind 'llama': only InternLM2 and GGUF"),
    (("convert-language", "{files}/text.gguf", "out"), "is neither a GGUF file"),
    # stages: called by rules; what can be known before their modules are there
    (
        ("download", "--settings", "{", "--output", "out", "--run-directory", "run"),
        "--settings: '{' is no mapping in JSON",
    ),
    (("fingerprint", *STAGE, "--source", "nosuch"), "--source: nosuch does not exist"),
    (
        ("select", *STAGE, "--fingerprints", "nosuch", "--benchmarks", "a=config"),
        "--fingerprints: nosuch does not exist",
    ),
    (("select", *STAGE, "--fingerprints", "config", "--benchmarks", "a"), "expected NAME=DIR, got 'a'"),
    (("caption", *STAGE, "--source", "config", "--selection", "config"), "--settings: captions: expected a mapping"),
    (("filter", *STAGE, "--source", "nosuch", "--captions", "config"), "--source: nosuch does not exist"),
    (("features", *STAGE, "--source", "config", "--vision", "nosuch"), "--vision: nosuch does not exist"),
    (("warm-up", *STAGE, "--language", "nosuch", "--sources", "a=config"), "--language: nosuch does not exist"),
    (("pretrain", *STAGE, "--language", "nosuch", "--captions", "a=config"), "--language: nosuch does not exist"),
    (
        ("finetune", *STAGE, "--language", "config", "--pretrained", "nosuch", "--sources", "a=config"),
        "--pretrained: nosuch does not exist",
    ),
    (
        ("evaluate", *STAGE, "--language", "config", "--model", "config", "--source", "config", "--features", "config"),
        "--settings: benchmark: expected a mapping",
    ),
    (("grade", *STAGE, "--predictions", "nosuch"), "--predictions: nosuch does not exist"),
    (
        ("attention", *SETTINGS, "--model", "nosuch", "--source", "x", "--features", "x", "--output", "out"),
        "--model: nosuch does not exist",
    ),
    (("report", "training", *SETTINGS, "--models", "nosuch", "--output", "out"), "--models: nosuch does not exist"),
    (
        ("report", "answers", *SETTINGS, "--scores", "nosuch", "--predictions", "config", "--output", "out"),
        "--scores: nosuch does not exist",
    ),
    (
        ("report", "tables", *SETTINGS, "--scores", "nosuch", "--training", "README.md", "--output", "out"),
        "--scores: nosuch does not exist",
    ),
    (
        ("report", "figures", *SETTINGS, "--scores", "config", "--training", "nosuch", "--output", "out"),
        "--training: nosuch does not exist",
    ),
    (
        (
            *("report", "page", *SETTINGS, "--scores", "config", "--training", "README.md", "--answers", "config"),
            *("--tables", "nosuch", "--figures", "x", "--output", "out"),
        ),
        "--tables: nosuch does not exist",
    ),
    (
        (
            "report",
            "captions",
            *SETTINGS,
            "--captions",
            "nosuch",
            "--selection",
            "x",
            "--source",
            "x",
            "--output",
            "out",
        ),
        "--captions: nosuch does not exist",
    ),
)


def make_files(folder: Path) -> None:
    """The files that the wrong arguments name."""
    for name, (text, _) in CONFIGS.items():
        path = folder / f"{name}.yaml"
        if name == "folder":
            path.mkdir()
        elif text is not None:
            old, change, new = text.partition("|")
            if change:
                text = (ROOT / MICRO).read_text().replace(old, new)
                assert new in text, name
            path.write_text(text, errors="surrogateescape")
    for name in ("profile", "broken_profile", "model", "other", "none"):
        (folder / name).mkdir()
    resources = "set-resources:\n  pretrain: {executor: \"'nowhere.yaml'\"}\n"
    (folder / "profile" / "profile.yaml").write_text(f"cores: 2\n{resources}")
    (folder / "broken_profile" / "profile.yaml").write_text("cores: 2\nset-resources: [\n")
    (folder / "jobs.yaml").write_text("poll_seconds: often\n")
    model = {"vision": {"source": "v"}, "language": {"source": "l"}, "projector": {}}
    (folder / "model" / "config.json").write_text(json.dumps(model))
    (folder / "other" / "config.json").write_text('{"model_type": "llama"}')
    (folder / "text.gguf").write_text("This is text.")
    from PIL import Image

    Image.new("RGB", (8, 8)).save(folder / "image.png")


def cases(folder: Path) -> list[tuple[list[str], str]]:
    """Arguments of each call, and what its error says."""
    found = [(list(arguments), says) for arguments, says in ARGUMENTS]
    for command in CONFIG_COMMANDS:
        for name in CONFIGS if command == EVERY_CONFIG else SOME:
            found.append(([*command, f"{{files}}/{name}.yaml"], CONFIGS[name][1]))
    at = str(folder)
    return [
        ([part.replace("{files}", at) for part in arguments], says.replace("{files}", at)) for arguments, says in found
    ]
