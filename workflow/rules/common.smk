"""What the rules share: the jobs of the config, and which of them are up to date.

What is up to date is decided by `pargo.graph`, by what made a thing, and not by Snakemake, which knows times alone. It
is told by files without content, one per job: it is there exactly when the job's outputs are what the job would make.
"""

import os
import sys

from snakemake.exceptions import WorkflowError

from pargo.config.experiment import parse_config
from pargo.errors import PargoError
from pargo.graph.jobs import job_name, jobs_of, makers, with_reasons
from pargo.graph.marks import mark_path, set_marks
from pargo.layout import Layout
from pargo.report.settings import CAPTION_REPORT, answer_files, figure_files, table_files

# jobs use the Python that runs Snakemake, also when its virtual environment is not activated
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

try:
    experiment = parse_config(config)
except PargoError as error:
    raise WorkflowError(str(error)) from None
layout = Layout(experiment.name)
jobs = {job.name: job for job in with_reasons(jobs_of(experiment))}
made_by = makers(jobs.values())
set_marks(layout, jobs.values())

# how heavy stages run; another profile sets it with `set-resources`
EXECUTOR = "local"


wildcard_constraints:
    source="[a-z][a-z0-9_]*",
    dataset="[a-z][a-z0-9_]*",
    arm="[a-z][a-z0-9_]*",
    benchmark="[a-z][a-z0-9_]*",
    split="train|test",
    seed=r"\d+",


def mark(name):
    """The file that tells Snakemake that a job's outputs are up to date."""
    return str(mark_path(layout, name))


def needs(rule):
    """Input function of a rule: marks of the jobs whose outputs it reads."""
    return lambda wildcards: [mark(name) for name in made_by[job_name(rule, dict(wildcards.items()))]]


def command(rule):
    """Resource function of a rule: its job's command. As a parameter it would rerun the job when any of it changes."""
    return lambda wildcards: jobs[job_name(rule, dict(wildcards.items()))].command


def log_file(name):
    return str(layout.log(name))


def num_threads(stage):
    """Threads function of a training rule."""
    return lambda wildcards: getattr(experiment.arms[wildcards.arm], stage).num_threads


def shown(path, **how):
    """A file of the report: Snakemake's own report shows it too. The job replaces it when the new one is whole."""
    return update(report(str(path), **how))


LIGHT = "{resources.command} > {log} 2>&1"
HEAVY = "{resources.command} --executor {resources.executor} > {log} 2>&1"
