"""Captions of the pretraining datasets: which images, their captions, and which of those are good enough."""


# what an image looks like, in 256 bits: of training images, and of every benchmark's, which must not be among them
rule fingerprint:
    input:
        code=code("pargo.data.fingerprint"),
        manifest=manifest(layout.source("{source}")),
        source=contents(layout.source("{source}")),
    output:
        directory=directory(str(layout.fingerprints("{source}", "{split}"))),
        manifest=manifest(layout.fingerprints("{source}", "{split}")),
    log:
        log_file("fingerprint-{source}-{split}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.fingerprint),
    shell:
        "python -m pargo fingerprint --settings {params.settings:q} --source {input.source} "
        "--output {output.directory} "
        f"--run-directory {run_directory('fingerprint', '{wildcards.source}-{wildcards.split}')} "
        "--executor {resources.executor} > {log} 2>&1"


rule select:
    input:
        code=code("pargo.data.select"),
        manifests=lambda wildcards: [manifest(path) for path in fingerprints(wildcards.dataset)],
        directories=lambda wildcards: [contents(path) for path in fingerprints(wildcards.dataset)],
    output:
        directory=directory(str(layout.selection("{dataset}"))),
        manifest=manifest(layout.selection("{dataset}")),
    log:
        log_file("select-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.select),
        benchmarks=named("--benchmarks", benchmark_fingerprints()),
    shell:
        "python -m pargo select --settings {params.settings:q} --fingerprints {input.directories[0]} "
        "{params.benchmarks} --output {output.directory} "
        f"--run-directory {run_directory('select', '{wildcards.dataset}')} "
        "--executor {resources.executor} > {log} 2>&1"


rule caption:
    input:
        code=caption_code,
        manifests=lambda wildcards: [manifest(path) for path in captioned_from(wildcards.dataset)],
        directories=lambda wildcards: [contents(path) for path in captioned_from(wildcards.dataset)],
    output:
        directory=directory(str(layout.raw_captions("{dataset}"))),
        manifest=manifest(layout.raw_captions("{dataset}")),
    log:
        log_file("caption-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.caption),
    shell:
        "python -m pargo caption --settings {params.settings:q} --source {input.directories[0]} "
        "--selection {input.directories[1]} --output {output.directory} "
        f"--run-directory {run_directory('caption', '{wildcards.dataset}')} "
        "--executor {resources.executor} > {log} 2>&1"


rule filter:
    input:
        code=code("pargo.captions.filter"),
        manifests=lambda wildcards: [manifest(path) for path in filtered_from(wildcards.dataset)],
        directories=lambda wildcards: [contents(path) for path in filtered_from(wildcards.dataset)],
    output:
        directory=directory(str(layout.captions("{dataset}"))),
        manifest=manifest(layout.captions("{dataset}")),
    log:
        log_file("filter-{dataset}"),
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.filter_captions),
    shell:
        "python -m pargo filter --settings {params.settings:q} --source {input.directories[0]} "
        "--captions {input.directories[1]} --output {output.directory} "
        f"--run-directory {run_directory('filter', '{wildcards.dataset}')} "
        "--executor {resources.executor} > {log} 2>&1"
