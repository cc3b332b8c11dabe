"""Sources: packages that are fetched, scenes that are rendered."""


rule download:
    input:
        code=download_code,
    output:
        directory=directory(str(layout.source("{source}"))),
        manifest=manifest(layout.source("{source}")),
    log:
        log_file("download-{source}"),
    params:
        settings=settings(stages.download),
        files=lambda wildcards: local_files(wildcards.source),
    shell:
        "python -m pargo download --settings {params.settings:q} --output {output.directory} "
        f"--run-directory {run_directory('download', '{wildcards.source}')} > {{log}} 2>&1"
