"""The two training stages of every arm and seed."""


# `settings` is all that a stage reads of the config; the other parameters only spell the input directories as options.
rule pretrain:
    input:
        code=training_code("pretrain"),
        manifests=lambda wildcards: [
            manifest(path)
            for path in (
                layout.source(experiment.language.source),
                *caption_directories(wildcards.arm).values(),
                *feature_directories("pretrain", wildcards.arm).values(),
                *image_directories("pretrain", wildcards.arm).values(),
                *tower_directories("pretrain", wildcards.arm),
            )
        ],
        language=contents(layout.source(experiment.language.source)),
        captions=lambda wildcards: [contents(path) for path in caption_directories(wildcards.arm).values()],
        features=lambda wildcards: [contents(path) for path in feature_directories("pretrain", wildcards.arm).values()],
        images=lambda wildcards: [contents(path) for path in image_directories("pretrain", wildcards.arm).values()],
        vision=lambda wildcards: [contents(path) for path in tower_directories("pretrain", wildcards.arm)],
    output:
        directory=directory(str(layout.model("{arm}", "{seed}", "pretrain"))),
        manifest=manifest(layout.model("{arm}", "{seed}", "pretrain")),
    log:
        log_file("pretrain-{arm}-seed-{seed}"),
    # before fine-tuning of other arms: a run waits longest for the arm that starts last
    priority: 1
    threads: num_threads("pretrain")
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.pretrain),
        captions=lambda wildcards: named("--captions", caption_directories(wildcards.arm)),
        features=lambda wildcards: named("--features", feature_directories("pretrain", wildcards.arm)),
        images=lambda wildcards: named("--images", image_directories("pretrain", wildcards.arm)),
        vision=lambda wildcards: repeated("--vision", tower_directories("pretrain", wildcards.arm)),
    shell:
        "python -m pargo pretrain --settings {params.settings:q} --language {input.language} "
        "{params.captions} {params.features} {params.images} {params.vision} --output {output.directory} "
        f"--run-directory {run_directory('pretrain', '{wildcards.arm}', 'seed-{wildcards.seed}')} "
        "--executor {resources.executor} > {log} 2>&1"


rule finetune:
    input:
        code=training_code("finetune"),
        manifests=lambda wildcards: [
            manifest(path)
            for path in (
                layout.source(experiment.language.source),
                layout.model(wildcards.arm, wildcards.seed, "pretrain"),
                *source_directories(wildcards.arm).values(),
                *feature_directories("finetune", wildcards.arm).values(),
                *tower_directories("finetune", wildcards.arm),
            )
        ],
        language=contents(layout.source(experiment.language.source)),
        pretrained=contents(layout.model("{arm}", "{seed}", "pretrain")),
        sources=lambda wildcards: [contents(path) for path in source_directories(wildcards.arm).values()],
        features=lambda wildcards: [contents(path) for path in feature_directories("finetune", wildcards.arm).values()],
        vision=lambda wildcards: [contents(path) for path in tower_directories("finetune", wildcards.arm)],
    output:
        directory=directory(str(layout.model("{arm}", "{seed}", "finetune"))),
        manifest=manifest(layout.model("{arm}", "{seed}", "finetune")),
    log:
        log_file("finetune-{arm}-seed-{seed}"),
    threads: num_threads("finetune")
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.finetune),
        sources=lambda wildcards: named("--sources", source_directories(wildcards.arm)),
        features=lambda wildcards: named("--features", feature_directories("finetune", wildcards.arm)),
        vision=lambda wildcards: repeated("--vision", tower_directories("finetune", wildcards.arm)),
    shell:
        "python -m pargo finetune --settings {params.settings:q} --language {input.language} "
        "--pretrained {input.pretrained} {params.sources} {params.features} {params.vision} "
        "--output {output.directory} "
        f"--run-directory {run_directory('finetune', '{wildcards.arm}', 'seed-{wildcards.seed}')} "
        "--executor {resources.executor} > {log} 2>&1"
