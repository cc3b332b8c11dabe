"""Captions of the pretraining datasets."""


rule caption:
    input:
        code=code("pargo.captions.build"),
        manifest=lambda wildcards: manifest(layout.source(experiment.datasets[wildcards.dataset].source)),
        source=lambda wildcards: contents(layout.source(experiment.datasets[wildcards.dataset].source)),
    output:
        directory=directory(str(layout.captions("{dataset}"))),
        manifest=manifest(layout.captions("{dataset}")),
    log:
        log_file("caption-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.caption),
    shell:
        "python -m pargo caption --settings {params.settings:q} --source {input.source} "
        "--output {output.directory} "
        f"--run-directory {run_directory('caption', '{wildcards.dataset}')} "
        "--executor {resources.executor} > {log} 2>&1"
