"""The two training stages of every arm and seed."""


rule pretrain:
    input:
        reads("pretrain"),
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
        settings=settings("pretrain"),
        inputs=options("pretrain"),
    shell:
        command("pretrain", "{wildcards.arm}", seed_folder("{wildcards.seed}"))


rule finetune:
    input:
        reads("finetune"),
    output:
        directory=directory(str(layout.model("{arm}", "{seed}", "finetune"))),
        manifest=manifest(layout.model("{arm}", "{seed}", "finetune")),
    log:
        log_file("finetune-{arm}-seed-{seed}"),
    threads: num_threads("finetune")
    resources:
        executor=EXECUTOR,
    params:
        settings=settings("finetune"),
        inputs=options("finetune"),
    shell:
        command("finetune", "{wildcards.arm}", seed_folder("{wildcards.seed}"))
