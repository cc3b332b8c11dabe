"""Tables, figures and the page: what the repository keeps under reports/<config>/."""


rule attention:
    input:
        needs("attention"),
    output:
        touch(mark("attention-{arm}-seed-{seed}")),
    log:
        log_file("attention-{arm}-seed-{seed}"),
    resources:
        command=command("attention"),
    shell:
        LIGHT


rule report_training:
    input:
        needs("report_training"),
    output:
        update(str(layout.training)),
        touch(mark("report_training")),
    log:
        log_file("report_training"),
    resources:
        command=command("report_training"),
    shell:
        LIGHT


rule report_answers:
    input:
        needs("report_answers"),
    output:
        [update(str(layout.answers / name)) for name in answer_files(experiment.benchmarks)],
        touch(mark("report_answers")),
    log:
        log_file("report_answers"),
    resources:
        command=command("report_answers"),
    shell:
        LIGHT


rule report_tables:
    input:
        needs("report_tables"),
    output:
        [
            shown(layout.tables / name, caption="../report/tables.rst", category="Tables")
            for name in table_files(experiment.benchmarks)
            if name.endswith(".csv")
        ],
        touch(mark("report_tables")),
    log:
        log_file("report_tables"),
    resources:
        command=command("report_tables"),
    shell:
        LIGHT


rule report_figures:
    input:
        needs("report_figures"),
    output:
        [
            shown(layout.figures / name, caption="../report/figures.rst", category="Figures")
            for name in figure_files(experiment.benchmarks)
            if name.endswith(".svg")
        ],
        touch(mark("report_figures")),
    log:
        log_file("report_figures"),
    resources:
        command=command("report_figures"),
    shell:
        LIGHT


rule report_captions:
    input:
        needs("report_captions"),
    output:
        shown(
            layout.caption_report("{dataset}") / CAPTION_REPORT[0],
            caption="../report/captions.rst",
            category="Captions",
            labels={"dataset": "{dataset}"},
        ),
        touch(mark("report_captions-{dataset}")),
    log:
        log_file("report_captions-{dataset}"),
    resources:
        command=command("report_captions"),
    shell:
        LIGHT


rule report_page:
    input:
        needs("report_page"),
    output:
        shown(layout.page, caption="../report/page.rst", category="Page"),
        touch(mark("report_page")),
    log:
        log_file("report_page"),
    resources:
        command=command("report_page"),
    shell:
        LIGHT
