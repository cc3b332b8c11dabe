# The paper as one graph: `snakemake --configfile config/quick.yaml -c2`, or `pargo reproduce`, which runs the same.
if not config:

    configfile: "config/quick.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/captions.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        [contents(path) for path in artifact_directories()],
        score_files(),
        table_files(),
        figure_files(),
        [caption_report_files(dataset) for dataset in caption_datasets()],
        str(layout.page),


# Targets without a command: `snakemake models` makes the models and what they need.


rule data:
    input:
        [manifest(layout.source(source)) for source in experiment.sources],


rule captions:
    input:
        [manifest(layout.captions(dataset)) for dataset in caption_datasets()],


rule models:
    input:
        expand(manifest(layout.model("{arm}", "{seed}", "finetune")), arm=experiment.arms, seed=experiment.seeds),


rule scores:
    input:
        score_files(),


rule tables:
    input:
        table_files(),


rule figures:
    input:
        figure_files(),


rule report:
    input:
        str(layout.page),
