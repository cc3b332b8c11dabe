"""How jobs run: on which back end, with what resources, how often they are tried; no setting of the experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from pargo.config.base import Positive, Settings
from pargo.config.words import explain_all
from pargo.config.yaml_file import kind_of, read_yaml
from pargo.errors import ConfigError

StageName = Literal[
    "fingerprint", "select", "caption", "filter", "features", "warm_up", "pretrain", "finetune", "evaluate"
]
DISTRIBUTED = ("pretrain", "finetune")  # stages that several processes can share
Count = Annotated[int, Field(ge=0)]


class Resources(Settings):
    """What one job asks for, and how often it may be tried. SLURM's words, without its units in text."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: Positive = 1
    gpus_per_node: Count = 0
    tasks_per_node: Positive | None = Field(None, description="processes; by default one per GPU, or one")
    cpus_per_task: Positive = 1
    memory_gb: Positive | None = Field(None, description="per node; by default what the partition gives")
    time_minutes: Positive = Field(
        1440, description="limit of one run; a training that needs longer goes on in the next"
    )
    signal_seconds: Positive = Field(120, description="warning before the limit: time to save and to requeue")
    setup: tuple[str, ...] = Field((), description="shell lines before the job, e.g. module load cuda")
    container: str = Field("", description="prefix of the Python command, e.g. apptainer exec --nv image.sif")
    sbatch: dict[str, str | int | bool] = Field({}, description="further options of sbatch, without the dashes")
    max_timeouts: Count = Field(20, description="how often a job may run into its time limit and go on")
    max_failures: Count = Field(1, description="how often a job that crashed is tried again")

    @property
    def num_tasks(self) -> int:
        return self.nodes * self.processes_per_node

    @property
    def processes_per_node(self) -> int:
        return self.tasks_per_node or self.gpus_per_node or 1


class Jobs(Settings):
    """A jobs file, e.g. workflow/profiles/slurm/jobs.yaml."""

    backend: Literal["slurm", "local"] = "slurm"
    poll_seconds: Annotated[float, Field(gt=0)] = Field(15.0, description="between looks at SLURM's queue")
    array_limit: Positive = Field(32, description="elements of a job array that run at the same time")
    defaults: Resources = Resources()
    stages: dict[StageName, dict[str, Any]] = Field({}, description="differences from defaults, by stage")

    @model_validator(mode="after")
    def _valid(self) -> Jobs:
        for stage in get_args(StageName):
            try:
                resources = self.of(stage)
            except ValidationError as error:
                schema = Resources.model_json_schema()
                raise ValueError(explain_all(error, schema, below=f"stages.{stage}", in_yaml=True)) from None
            if resources.num_tasks > 1 and stage not in DISTRIBUTED:
                raise ValueError(
                    f"stages.{stage}: {resources.num_tasks} processes, but only {' and '.join(DISTRIBUTED)} can be "
                    "shared; give this stage one GPU, and divide its work by the experiment's own config"
                )
            if resources.signal_seconds >= 60 * resources.time_minutes:
                raise ValueError(f"stages.{stage}: signal_seconds is longer than time_minutes")
        return self

    def of(self, stage: str) -> Resources:
        """Resources of a stage: the defaults with the stage's differences."""
        difference = self.stages.get(stage, {})  # type: ignore[call-overload]
        merged = self.defaults.model_dump() | difference
        if "sbatch" in difference:
            merged["sbatch"] = self.defaults.sbatch | difference["sbatch"]
        return Resources.model_validate(_tuples(merged))


def load_jobs(path: Path) -> Jobs:
    """Read and validate a jobs file.

    Raises:
        ConfigError: it cannot be read, or a value cannot be used; the message names file, field and value.
    """
    data = read_yaml(path, "jobs file")
    if not isinstance(data, dict | None):
        raise ConfigError(f"{path}: expected a mapping of settings, got {kind_of(data)}")
    try:
        return Jobs.model_validate(_tuples(data or {}))
    except ValidationError as error:
        raise ConfigError(f"{path}: " + explain_all(error, Jobs.model_json_schema(), in_yaml=True)) from None


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


LOCAL = Jobs(backend="local", array_limit=1, defaults=Resources(max_failures=0))
