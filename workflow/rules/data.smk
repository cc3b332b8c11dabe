"""Sources: packages that are fetched, scenes that are rendered."""


rule download:
    input:
        code=lambda wildcards: code(*download_modules(experiment.sources[wildcards.source])),
        files=lambda wildcards: getattr(experiment.sources[wildcards.source], "files", ()),
    output:
        directory=directory(str(layout.source("{source}"))),
        manifest=manifest(layout.source("{source}")),
    log:
        log_file("download-{source}"),
    params:
        settings=settings(stages.download),
        files=lambda wildcards: listing(getattr(experiment.sources[wildcards.source], "files", ())),
    shell:
        "python -m pargo download --settings {params.settings:q} --output {output.directory} > {log} 2>&1"
