"""Answers of every model on every benchmark, and their scores."""


rule evaluate:
    input:
        reads("evaluate"),
    output:
        directory=directory(str(layout.predictions("{arm}", "{seed}", "{benchmark}"))),
        manifest=manifest(layout.predictions("{arm}", "{seed}", "{benchmark}")),
    log:
        log_file("evaluate-{arm}-seed-{seed}-{benchmark}"),
    threads: lambda wildcards: experiment.arms[wildcards.arm].generation.num_threads
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("evaluate"),
        inputs=options("evaluate"),
    shell:
        command("evaluate", "{wildcards.arm}", seed_folder("{wildcards.seed}"), "{wildcards.benchmark}")


# a judge model grades what no rule can score
rule grade:
    input:
        reads("grade"),
    output:
        directory=directory(str(layout.grades("{arm}", "{seed}", "{benchmark}"))),
        manifest=manifest(layout.grades("{arm}", "{seed}", "{benchmark}")),
    log:
        log_file("grade-{arm}-seed-{seed}-{benchmark}"),
    params:
        settings=settings("grade"),
        inputs=options("grade"),
    shell:
        command("grade", "{wildcards.arm}", seed_folder("{wildcards.seed}"), "{wildcards.benchmark}")


rule score:
    input:
        reads("score"),
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
        settings=settings("score"),
        inputs=options("score"),
    shell:
        command("score", output="{output}")
