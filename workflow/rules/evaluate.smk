"""Answers of every model on every benchmark, and their scores."""


rule evaluate:
    input:
        needs("evaluate"),
    output:
        touch(mark("evaluate-{arm}-seed-{seed}-{benchmark}")),
    log:
        log_file("evaluate-{arm}-seed-{seed}-{benchmark}"),
    threads: lambda wildcards: experiment.arms[wildcards.arm].generation.num_threads
    resources:
        command=command("evaluate"),
        executor=EXECUTOR,
    shell:
        HEAVY


# a judge model grades what no rule can score
rule grade:
    input:
        needs("grade"),
    output:
        touch(mark("grade-{arm}-seed-{seed}-{benchmark}")),
    log:
        log_file("grade-{arm}-seed-{seed}-{benchmark}"),
    resources:
        command=command("grade"),
    shell:
        LIGHT


rule score:
    input:
        needs("score"),
    output:
        shown(
            layout.score("{arm}", "{seed}", "{benchmark}"),
            caption="../report/score.rst",
            category="Scores",
            subcategory="{benchmark}",
            labels={"arm": "{arm}", "seed": "{seed}"},
        ),
        touch(mark("score-{arm}-seed-{seed}-{benchmark}")),
    log:
        log_file("score-{arm}-seed-{seed}-{benchmark}"),
    resources:
        command=command("score"),
    shell:
        LIGHT
