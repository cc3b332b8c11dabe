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
