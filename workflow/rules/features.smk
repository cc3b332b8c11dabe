"""Features of the frozen vision tower: computed once per source and split, shared by all arms."""


rule features:
    input:
        needs("features"),
    output:
        touch(mark("features-{source}-{split}")),
    log:
        log_file("features-{source}-{split}"),
    resources:
        command=command("features"),
        executor=EXECUTOR,
    shell:
        HEAVY
