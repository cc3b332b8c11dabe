"""Answers of every model on every benchmark, and their scores."""


rule evaluate:
    input:
        code=code("pargo.benchmarks.evaluate"),
        manifests=lambda wildcards: [
            manifest(path)
            for path in (
                layout.source(experiment.language.source),
                layout.model(wildcards.arm, wildcards.seed, "finetune"),
                benchmark_source(wildcards.benchmark),
                benchmark_features(wildcards.benchmark),
            )
        ],
        language=contents(layout.source(experiment.language.source)),
        model=contents(layout.model("{arm}", "{seed}", "finetune")),
        source=lambda wildcards: contents(benchmark_source(wildcards.benchmark)),
        features=lambda wildcards: contents(benchmark_features(wildcards.benchmark)),
    output:
        directory=directory(str(layout.predictions("{arm}", "{seed}", "{benchmark}"))),
        manifest=manifest(layout.predictions("{arm}", "{seed}", "{benchmark}")),
    log:
        log_file("evaluate-{arm}-seed-{seed}-{benchmark}"),
    threads: lambda wildcards: experiment.arms[wildcards.arm].generation.num_threads
    resources:
        executor=EXECUTOR,
    params:
        settings=settings(stages.evaluate),
    shell:
        "python -m pargo evaluate --settings {params.settings:q} --language {input.language} --model {input.model} "
        "--source {input.source} --features {input.features} --output {output.directory} "
        f"--run-directory {run_directory('evaluate', '{wildcards.arm}', 'seed-{wildcards.seed}', '{wildcards.benchmark}')} "
        "--executor {resources.executor} > {log} 2>&1"


rule score:
    input:
        code=code("pargo.benchmarks.score"),
        manifest=manifest(layout.predictions("{arm}", "{seed}", "{benchmark}")),
        predictions=contents(layout.predictions("{arm}", "{seed}", "{benchmark}")),
    output:
        report(
            str(layout.score("{arm}", "{seed}", "{benchmark}")),
            caption="../report/score.rst",
            category="Scores",
            subcategory="{benchmark}",
            labels={"arm": "{arm}", "seed": "{seed}"},
        ),
    log:
        log_file("score-{arm}-seed-{seed}-{benchmark}"),
    params:
        settings=settings(stages.score),
    shell:
        "python -m pargo score --settings {params.settings:q} --predictions {input.predictions} "
        "--output {output} > {log} 2>&1"
