"""The two training stages of every arm and seed; before them, the warm-up that a small language model may have."""


rule warm_up:
    input:
        needs("warm_up"),
    output:
        touch(mark("warm_up")),
    log:
        log_file("warm_up"),
    # first: all trainings wait for it
    priority: 2
    threads: lambda wildcards: experiment.language.warm_up.num_threads
    resources:
        command=command("warm_up"),
        executor=EXECUTOR,
    shell:
        HEAVY


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
