"""Sources: packages that are fetched, scenes that are rendered."""


rule download:
    input:
        reads("download"),
    output:
        directory=directory(str(layout.source("{source}"))),
        manifest=manifest(layout.source("{source}")),
    log:
        log_file("download-{source}"),
    params:
        settings=settings("download"),
        inputs=options("download"),
        files=lambda wildcards: local_files(wildcards.source),
    shell:
        command("download", "{wildcards.source}")
