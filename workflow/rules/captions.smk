"""Captions of the pretraining datasets: which images, their captions, and which of those are good enough."""


# what an image looks like, in 256 bits: of training images, and of every benchmark's, which must not be among them
rule fingerprint:
    input:
        reads("fingerprint"),
    output:
        directory=directory(str(layout.fingerprints("{source}", "{split}"))),
        manifest=manifest(layout.fingerprints("{source}", "{split}")),
    log:
        log_file("fingerprint-{source}-{split}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("fingerprint"),
        inputs=options("fingerprint"),
    shell:
        command("fingerprint", "{wildcards.source}-{wildcards.split}")


rule select:
    input:
        reads("select"),
    output:
        directory=directory(str(layout.selection("{dataset}"))),
        manifest=manifest(layout.selection("{dataset}")),
    log:
        log_file("select-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("select"),
        inputs=options("select"),
    shell:
        command("select", "{wildcards.dataset}")


rule caption:
    input:
        reads("caption"),
    output:
        directory=directory(str(layout.raw_captions("{dataset}"))),
        manifest=manifest(layout.raw_captions("{dataset}")),
    log:
        log_file("caption-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("caption"),
        inputs=options("caption"),
    shell:
        command("caption", "{wildcards.dataset}")


rule filter:
    input:
        reads("filter"),
    output:
        directory=directory(str(layout.captions("{dataset}"))),
        manifest=manifest(layout.captions("{dataset}")),
    log:
        log_file("filter-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("filter"),
        inputs=options("filter"),
    shell:
        command("filter", "{wildcards.dataset}")
