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
        [mark(name) for name in jobs],


# Targets without a command: `snakemake models` makes the models and what they need.


rule data:
    input:
        marks("download"),


rule captions:
    input:
        marks("filter"),


rule models:
    input:
        marks("finetune"),


rule scores:
    input:
        marks("score"),


rule tables:
    input:
        marks("report_tables"),


rule figures:
    input:
        marks("report_figures"),


rule report:
    input:
        marks("report_page"),
