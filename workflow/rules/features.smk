"""Features of the frozen vision tower: computed once per source and split, shared by all arms."""


rule features:
    input:
        reads("features"),
    output:
        directory=directory(str(layout.features("{source}", "{split}"))),
        manifest=manifest(layout.features("{source}", "{split}")),
    log:
        log_file("features-{source}-{split}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("features"),
        inputs=options("features"),
    shell:
        command("features", "{wildcards.source}-{wildcards.split}")
