"""Features of the frozen vision tower: computed once per source and split, shared by all arms."""


rule features:
    input:
        code=code("pargo.models.features"),
        manifests=[manifest(layout.source("{source}")), manifest(layout.source(experiment.vision.source))],
        source=contents(layout.source("{source}")),
        vision=contents(layout.source(experiment.vision.source)),
    output:
        directory=directory(str(layout.features("{source}", "{split}"))),
        manifest=manifest(layout.features("{source}", "{split}")),
    log:
        log_file("features-{source}-{split}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.features),
    shell:
        "python -m pargo features --settings {params.settings:q} --source {input.source} --vision {input.vision} "
        "--output {output.directory} "
        f"--run-directory {run_directory('features', '{wildcards.source}-{wildcards.split}')} "
        "--executor {resources.executor} > {log} 2>&1"
