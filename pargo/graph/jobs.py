"""All jobs of a config, in an order in which they could run: the rules, the record and `pargo status` read this."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pargo.accepted import accepted_file
from pargo.code import PACKAGE, code_hash, remember
from pargo.config.base import canonical_json, without_defaults
from pargo.config.experiment import Config, load_config
from pargo.graph.inputs import Inputs
from pargo.graph.stage_settings import settings_of
from pargo.layout import Layout, manifest_path, seed_folder
from pargo.made import UNKNOWN, Spec, content_of, is_artifact, name_of, reason_to_remake, some
from pargo.manifest import PROVENANCE
from pargo.report.settings import CAPTION_REPORT, answer_files, figure_files, table_files
from pargo.stages import STAGES, Stage, Value, listed
from pargo.store import find


@dataclass(frozen=True)
class Job:
    """One job of the graph; all paths are relative to the project root.

    Args:
        rule: its stage.
        wildcards: what tells the stage's jobs apart, in the order of its name.
        settings: canonical JSON of what it reads of the config.
        chosen: of these, those that are not at their defaults.
        code_files: files of this package that it runs or fills in.
        code: `pargo.code.code_hash` of them.
        paths: all that it reads: artifacts, files of the report and folders of them.
        output: what its command is told to make: an artifact, a file or a folder of files.
        files: of the report that it makes; none where `output` is an artifact.
        command: without the executor of a heavy stage.
        log: what the command prints.
        strict: as the config says.
        reason: why it has to run; empty when it is up to date.
        follows: nothing of its own changed, but a job before it runs: it does too, unless that gives the same.
        made_before: where its output was made before, which is restored then.
        recorded: its artifact is not here, but dvc.lock records it, and it can be restored.
    """

    rule: str
    wildcards: Mapping[str, str]
    settings: str
    chosen: str
    code_files: tuple[str, ...]
    code: str
    paths: tuple[Path, ...]
    output: Path
    files: tuple[Path, ...]
    command: str
    log: str
    strict: bool = False
    reason: str = ""
    follows: bool = False
    made_before: Path | None = None
    recorded: bool = False

    @property
    def name(self) -> str:
        """Stage and wildcards, e.g. `evaluate-pargo-seed-0-mini_mme`."""
        return job_name(self.rule, self.wildcards)

    @property
    def spec(self) -> Spec:
        """What would make its output now; its inputs are read when they are asked for."""
        settings, chosen = json.loads(self.settings), json.loads(self.chosen)
        return Spec(
            self.rule,
            settings,
            self.code,
            self.paths,
            chosen,
            strict=self.strict,
            code_files=self.code_files,
            local=STAGES[self.rule].local_files(settings),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths that DVC watches: of an artifact it and its manifest, of a folder of the report its files."""
        found: set[str] = set()
        for path in self.paths:
            if path.name == PROVENANCE:  # of an artifact, which DVC watches itself
                continue
            both = (path, manifest_path(path)) if is_artifact(path) else (path,)
            found |= {item.as_posix() for item in ([path / name for name in self._files_in(path)] or both)}
        return tuple(sorted(found - {accepted_file(self.output).as_posix()}))  # which need not be there

    def _files_in(self, folder: Path) -> tuple[str, ...]:
        """Names of the files of a folder of the report."""
        names = {"tables": table_files, "figures": figure_files, "answers": answer_files}.get(folder.name)
        return names(json.loads(self.settings)["benchmarks"]) if names and folder.parts[0] == "reports" else ()

    @property
    def directories(self) -> frozenset[str]:
        """The outputs that DVC keeps: directories of artifacts."""
        return frozenset([] if self.files else [self.output.as_posix()])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Paths that it makes: an artifact and its manifest, or files of the report."""
        return tuple(path.as_posix() for path in self.files or (self.output, manifest_path(self.output)))


def job_name(rule: str, wildcards: Mapping[str, str]) -> str:
    """Name of a job, e.g. `evaluate-pargo-seed-0-mini_mme`."""
    return "-".join([rule, *(seed_folder(value) if key == "seed" else value for key, value in wildcards.items())])


def jobs_of(config: Config) -> list[Job]:
    """All jobs of a config, in an order in which they could run.

    Raises:
        PargoError: a plug-in is not there.
    """
    layout = Layout(config.name)
    jobs = list(_jobs(config, layout, Inputs(config, layout)))
    remember()
    return jobs


def list_jobs(config_file: Path) -> list[Job]:
    """All jobs of a config file, in an order in which they could run, each with the reason why it has to run, if any.

    Called in the project's folder.

    Raises:
        ConfigError: the config cannot be run.
        PargoError: a plug-in is not there.
    """
    return with_reasons(jobs_of(load_config(config_file)))


def with_reasons(jobs: Sequence[Job], is_recorded: Callable[[Job], bool] = lambda job: False) -> list[Job]:
    """The jobs, each with the reason why it has to run: it differs from what made its output, or an input does.

    Args:
        jobs: in an order in which they could run.
        is_recorded: can the artifact of a job be restored from what dvc.lock records? `pargo.graph.recorded` knows;
            where Snakemake is going to run jobs, that has been done.
    """
    anew: dict[str, str] = {}  # path of what is made anew -> by which job
    known: dict[str, str] = {}  # content of what is restored, or made anew
    asked = []
    for job in jobs:
        spec = replace(job.spec, known=known)
        reason, made_before = reason_to_remake(job.output, spec, job.files), None
        needs = sorted({anew[name] for path in job.paths if (name := name_of(path)) in anew})
        recorded = bool(reason) and is_recorded(job)  # its manifest, which is here, says what content it has
        if reason and not needs and not job.files and (made_before := find(job.output, spec)) is not None:
            known[name_of(job.output)] = content_of(made_before)
            known[_provenance(job)] = content_of(made_before / PROVENANCE)
        elif needs or (reason and not recorded):
            made = (*job.outputs, job.output.as_posix(), _provenance(job))
            anew |= dict.fromkeys(made, job.name)
            known |= dict.fromkeys(made, UNKNOWN)
        elif recorded:
            known[_provenance(job)] = UNKNOWN  # it is in what is restored
        follows = bool(needs) and (recorded or not reason)
        text = f"if {some(needs)} {'comes' if len(needs) == 1 else 'come'} out different" if follows else reason
        recorded = recorded and not needs
        asked.append(replace(job, reason=text, follows=follows, made_before=made_before, recorded=recorded))
    return asked


def makers(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """By the name of a job, the names of those whose outputs it reads."""
    jobs = list(jobs)
    made = {path: job.name for job in jobs for path in (job.output, job.output / PROVENANCE, *job.files)}
    return {job.name: sorted({made[path] for path in job.paths if path in made}) for job in jobs}


def _provenance(job: Job) -> str:
    return (job.output / PROVENANCE).as_posix()


def _command(
    stage: Stage,
    settings: str,
    reads: Mapping[str, Value],
    found: Sequence[Path],
    output: Path,
    run_directory: Path | None,
) -> str:
    words = ["python", "-m", PACKAGE, *stage.command.split(), "--settings", shlex.quote(settings)]
    for given in stage.inputs:
        option = [] if given.positional else [f"--{given.name}"]
        value = reads[given.name]
        named = [f"{name}={path}" for name, path in value.items()] if isinstance(value, Mapping) else listed(value)
        words += [str(word) for text in named for word in (*option, text)]
    words += [word for path in found for word in ("--found", path.as_posix())]
    words += ["--output", output.as_posix()]
    return " ".join([*words, *(["--run-directory", run_directory.as_posix()] if run_directory else [])])


def _run_folders(rule: str, wildcards: Mapping[str, str]) -> tuple[str, ...]:
    """Folders of a job's run directory below that of its stage."""
    parts = [seed_folder(value) if key == "seed" else value for key, value in wildcards.items()]
    return ("-".join(parts),) if rule in ("fingerprint", "features") else tuple(parts)


def _jobs(config: Config, layout: Layout, inputs: Inputs) -> Iterator[Job]:
    # many jobs have the same code
    files_of = cache(lambda stage, modules: stage.files_of(modules))
    hash_code = cache(code_hash)

    def job(rule: str, output: Path, files: tuple[Path, ...] = (), **wildcards: str | int) -> Job:
        texts = {key: str(value) for key, value in wildcards.items()}
        stage, settings = STAGES[rule], settings_of(config, rule, texts)
        text, code = canonical_json(settings), files_of(stage, stage.modules(settings))
        read = getattr(inputs, rule)
        reads = read(**{name: texts[name] for name in inspect.signature(read).parameters})
        found = tuple(inputs.found(rule))
        directory = layout.run_directory(rule, *_run_folders(rule, texts)) if stage.heavy or stage.keeps else None
        return Job(
            rule=rule,
            wildcards=texts,
            settings=text,
            chosen=canonical_json(without_defaults(settings)),
            code_files=tuple(path.as_posix() for path in code),
            code=hash_code(code),
            paths=(*(path for value in reads.values() for path in listed(value)), *found),
            output=output,
            files=files,
            command=_command(stage, text, reads, found, output, directory)
            + (" --strict" if config.strict and not files else ""),
            strict=config.strict,
            log=layout.log(job_name(rule, texts)).as_posix(),
        )

    datasets = inputs.caption_datasets()
    for source in inputs.needed_sources():
        yield job("download", layout.source(source), source=source)
    for source, split in inputs.compared_images():
        yield job("fingerprint", layout.fingerprints(source, split), source=source, split=split)
    for dataset in datasets:
        yield job("select", layout.selection(dataset), dataset=dataset)
        yield job("caption", layout.raw_captions(dataset), dataset=dataset)
        yield job("filter", layout.captions(dataset), dataset=dataset)
    for source, split in inputs.images():
        yield job("features", layout.features(source, split), source=source, split=split)
    if config.language.warm_up:
        yield job("warm_up", layout.language(config.language.source, True))
    for stage in ("pretrain", "finetune"):
        for arm, seed in inputs.runs():
            yield job(stage, layout.model(arm, seed, stage), arm=arm, seed=seed)
    for arm, seed, benchmark in inputs.evaluations():
        score = layout.score(arm, seed, benchmark)
        yield job("evaluate", layout.predictions(arm, seed, benchmark), arm=arm, seed=seed, benchmark=benchmark)
        if config.benchmarks[benchmark].grader:
            yield job("grade", layout.grades(arm, seed, benchmark), arm=arm, seed=seed, benchmark=benchmark)
        yield job("score", score, (score,), arm=arm, seed=seed, benchmark=benchmark)
    for arm, seed in inputs.attention_models():
        yield job("attention", layout.attention(arm, seed), arm=arm, seed=seed)
    for dataset in datasets:
        folder = layout.caption_report(dataset)
        yield job("report_captions", folder, tuple(folder / name for name in CAPTION_REPORT), dataset=dataset)
    answers = answer_files(config.benchmarks)
    yield job("report_training", layout.training, (layout.training,))
    yield job("report_answers", layout.answers, tuple(layout.answers / name for name in answers))
    yield job("report_tables", layout.tables, tuple(layout.tables / name for name in table_files(config.benchmarks)))
    figures = figure_files(config.benchmarks)
    yield job("report_figures", layout.figures, tuple(layout.figures / name for name in figures))
    yield job("report_page", layout.page, (layout.page,))
