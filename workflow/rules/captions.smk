"""Captions of the pretraining datasets: which images, their captions, and which of those are good enough."""


# what an image looks like, in 256 bits: of training images, and of every benchmark's, which must not be among them
rule fingerprint:
    input:
        needs("fingerprint"),
    output:
        touch(mark("fingerprint-{source}-{split}")),
    log:
        log_file("fingerprint-{source}-{split}"),
    resources:
        command=command("fingerprint"),
        executor=EXECUTOR,
    shell:
        HEAVY


rule select:
    input:
        needs("select"),
    output:
        touch(mark("select-{dataset}")),
    log:
        log_file("select-{dataset}"),
    resources:
        command=command("select"),
        executor=EXECUTOR,
    shell:
        HEAVY


rule caption:
    input:
        needs("caption"),
    output:
        touch(mark("caption-{dataset}")),
    log:
        log_file("caption-{dataset}"),
    resources:
        command=command("caption"),
        executor=EXECUTOR,
    shell:
        HEAVY


rule filter:
    input:
        needs("filter"),
    output:
        touch(mark("filter-{dataset}")),
    log:
        log_file("filter-{dataset}"),
    resources:
        command=command("filter"),
        executor=EXECUTOR,
    shell:
        HEAVY
