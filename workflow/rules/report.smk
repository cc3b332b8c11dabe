"""Tables, figures and the page: what the repository keeps under reports/<config>/."""


rule attention:
    input:
        reads("attention"),
    output:
        directory=directory(str(layout.attention("{arm}", "{seed}"))),
        manifest=manifest(layout.attention("{arm}", "{seed}")),
    log:
        log_file("attention-{arm}-seed-{seed}"),
    params:
        settings=settings("attention"),
        inputs=options("attention"),
    shell:
        command("attention")


rule report_tables:
    input:
        reads("report_tables", models=model_directories()),
    output:
        [
            report(path, caption="../report/tables.rst", category="Tables") if path.endswith(".csv") else path
            for path in table_files()
        ],
    log:
        log_file("report-tables"),
    params:
        settings=settings("report_tables"),
        inputs=options("report_tables"),
    shell:
        command("report_tables", output=layout.tables)


rule report_figures:
    input:
        reads("report_figures"),
    output:
        [
            report(path, caption="../report/figures.rst", category="Figures") if path.endswith(".svg") else path
            for path in figure_files()
        ],
    log:
        log_file("report-figures"),
    params:
        settings=settings("report_figures"),
        inputs=options("report_figures"),
    shell:
        command("report_figures", output=layout.figures)


rule report_captions:
    input:
        reads("report_captions", templates=templates()),
    output:
        report(
            str(layout.caption_report("{dataset}") / CAPTION_REPORT[0]),
            caption="../report/captions.rst",
            category="Captions",
            labels={"dataset": "{dataset}"},
        ),
        caption_report_files("{dataset}")[1:],
    log:
        log_file("report-captions-{dataset}"),
    params:
        settings=settings("report_captions"),
        inputs=options("report_captions"),
    shell:
        command("report_captions", output=layout.caption_report("{wildcards.dataset}"))


rule report_page:
    input:
        reads(
            "report_page",
            tables=table_files(),
            figures=figure_files(),
            samples=sample_directories(),
            templates=templates(),
        ),
    output:
        report(str(layout.page), caption="../report/page.rst", category="Page"),
    log:
        log_file("report-page"),
    params:
        settings=settings("report_page"),
        inputs=options("report_page"),
    shell:
        command("report_page", output="{output}")
