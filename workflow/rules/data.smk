"""Sources: packages that are fetched, scenes that are rendered."""


rule download:
    input:
        needs("download"),
    output:
        touch(mark("download-{source}")),
    log:
        log_file("download-{source}"),
    resources:
        command=command("download"),
    shell:
        LIGHT
