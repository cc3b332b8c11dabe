"""The two training stages of every arm and seed."""


rule pretrain:
    input:
        needs("pretrain"),
    output:
        touch(mark("pretrain-{arm}-seed-{seed}")),
    log:
        log_file("pretrain-{arm}-seed-{seed}"),
    # before fine-tuning of other arms: a run waits longest for the arm that starts last
    priority: 1
    threads: num_threads("pretrain")
    resources:
        command=command("pretrain"),
        executor=EXECUTOR,
    shell:
        HEAVY


rule finetune:
    input:
        needs("finetune"),
    output:
        touch(mark("finetune-{arm}-seed-{seed}")),
    log:
        log_file("finetune-{arm}-seed-{seed}"),
    threads: num_threads("finetune")
    resources:
        command=command("finetune"),
        executor=EXECUTOR,
    shell:
        HEAVY
