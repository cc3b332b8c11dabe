"""Answers of every model on every benchmark, and their scores."""


rule evaluate:
    input:
        code=answer_code,
        manifests=lambda wildcards: [manifest(path) for path in answers_from(wildcards)],
        directories=lambda wildcards: [contents(path) for path in answers_from(wildcards)],
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
        "python -m pargo evaluate --settings {params.settings:q} --language {input.directories[0]} "
        "--model {input.directories[1]} --source {input.directories[2]} --features {input.directories[3]} "
        "--output {output.directory} "
        f"--run-directory {run_directory('evaluate', '{wildcards.arm}', 'seed-{wildcards.seed}', '{wildcards.benchmark}')} "
        "--executor {resources.executor} > {log} 2>&1"


# a judge model grades what no rule can score
rule grade:
    input:
        code=code("pargo.benchmarks.mmvet.grade"),
        manifest=manifest(layout.predictions("{arm}", "{seed}", "{benchmark}")),
        predictions=contents(layout.predictions("{arm}", "{seed}", "{benchmark}")),
    output:
        directory=directory(str(grades("{arm}", "{seed}", "{benchmark}"))),
        manifest=manifest(grades("{arm}", "{seed}", "{benchmark}")),
    log:
        log_file("grade-{arm}-seed-{seed}-{benchmark}"),
    params:
        settings=settings(stages.grade),
    shell:
        "python -m pargo grade --settings {params.settings:q} --predictions {input.predictions} "
        "--output {output.directory} "
        f"--run-directory {run_directory('grade', '{wildcards.arm}', 'seed-{wildcards.seed}', '{wildcards.benchmark}')} "
        "> {log} 2>&1"


rule score:
    input:
        code=score_code,
        manifests=lambda wildcards: [manifest(path) for path in judged(*evaluation(wildcards))],
        manifest=manifest(layout.predictions("{arm}", "{seed}", "{benchmark}")),
        predictions=contents(layout.predictions("{arm}", "{seed}", "{benchmark}")),
        grades=lambda wildcards: [contents(path) for path in judged(*evaluation(wildcards))],
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
        grades=lambda wildcards: repeated("--grades", judged(*evaluation(wildcards))),
    shell:
        "python -m pargo score predictions --settings {params.settings:q} {input.predictions} {params.grades} "
        "--output {output} > {log} 2>&1"
