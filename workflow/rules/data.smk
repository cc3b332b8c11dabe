"""Sources: packages that are fetched, scenes that are rendered."""


rule download:
    input:
        code=lambda wildcards: code(*download_modules(experiment.sources[wildcards.source])),
        # those that are there: a dry run needs none, and the stage names what is missing
        files=lambda wildcards: [path for path in local_files(wildcards) if Path(path).exists()],
    output:
        directory=directory(str(layout.source("{source}"))),
        manifest=manifest(layout.source("{source}")),
    log:
        log_file("download-{source}"),
    params:
        settings=settings(stages.download),
        files=lambda wildcards: listing(local_files(wildcards)),
    shell:
        "python -m pargo download --settings {params.settings:q} --output {output.directory} > {log} 2>&1"
