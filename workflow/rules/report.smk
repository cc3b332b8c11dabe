"""Tables, figures and the page: what the repository keeps under reports/<config>/."""


rule attention:
    input:
        code=code("pargo.report.attention"),
        manifests=[
            manifest(layout.model("{arm}", "{seed}", "finetune")),
            manifest(benchmark_source(attention_benchmark())),
            manifest(benchmark_features(attention_benchmark())),
        ],
        model=contents(layout.model("{arm}", "{seed}", "finetune")),
        source=contents(benchmark_source(attention_benchmark())),
        features=contents(benchmark_features(attention_benchmark())),
    output:
        directory=directory(str(layout.attention("{arm}", "{seed}"))),
        manifest=manifest(layout.attention("{arm}", "{seed}")),
    log:
        log_file("attention-{arm}-seed-{seed}"),
    params:
        settings=settings(stages.attention),
    shell:
        "python -m pargo attention --settings {params.settings:q} --model {input.model} --source {input.source} "
        "--features {input.features} --output {output.directory} > {log} 2>&1"


rule report_tables:
    input:
        code=report_code("pargo.report.tables"),
        manifests=[manifest(path) for path in model_directories()],
        models=[contents(path) for path in model_directories()],
        scores=score_files(),
    output:
        [
            report(path, caption="../report/tables.rst", category="Tables") if path.endswith(".csv") else path
            for path in table_files()
        ],
    log:
        log_file("report-tables"),
    params:
        settings=settings(stages.report),
        scores=repeated("--scores", score_files()),
    shell:
        "python -m pargo report tables --settings {params.settings:q} {params.scores} "
        f"--output {layout.reports}/tables > {{log}} 2>&1"


rule report_figures:
    input:
        code=report_code("pargo.report.figures"),
        manifests=[manifest(path) for path in (*model_directories(), *attention_directories())],
        models=[contents(path) for path in model_directories()],
        attention=[contents(path) for path in attention_directories()],
        scores=score_files(),
    output:
        [
            report(path, caption="../report/figures.rst", category="Figures") if path.endswith(".svg") else path
            for path in figure_files()
        ],
    log:
        log_file("report-figures"),
    params:
        settings=settings(stages.report),
        scores=repeated("--scores", score_files()),
        models=repeated("--models", model_directories()),
        attention=repeated("--attention", attention_directories()),
    shell:
        "python -m pargo report figures --settings {params.settings:q} {params.scores} {params.models} "
        f"{{params.attention}} --output {layout.reports}/figures > {{log}} 2>&1"


rule report_captions:
    input:
        code=code("pargo.report.captions"),
        templates=templates(),
        manifests=lambda wildcards: [manifest(path) for path in reported_captions(wildcards.dataset)],
        directories=lambda wildcards: [contents(path) for path in reported_captions(wildcards.dataset)],
    output:
        report(
            str(layout.caption_report("{dataset}", CAPTION_REPORT[0])),
            caption="../report/captions.rst",
            category="Captions",
            labels={"dataset": "{dataset}"},
        ),
        [str(layout.caption_report("{dataset}", name)) for name in CAPTION_REPORT[1:]],
    log:
        log_file("report-captions-{dataset}"),
    params:
        settings=settings(stages.report_captions),
    shell:
        "python -m pargo report captions --settings {params.settings:q} --captions {input.directories[0]} "
        "--selection {input.directories[1]} --source {input.directories[2]} "
        f"--output {layout.reports}/captions/{{wildcards.dataset}} > {{log}} 2>&1"


rule report_page:
    input:
        code=report_code("pargo.report.page"),
        templates=templates(),
        manifests=[manifest(path) for path in sample_directories()],
        samples=[contents(path) for path in sample_directories()],
        tables=table_files(),
        figures=figure_files(),
        scores=score_files(),
    output:
        report(str(layout.page), caption="../report/page.rst", category="Page"),
    log:
        log_file("report-page"),
    params:
        settings=settings(stages.report),
        scores=repeated("--scores", score_files()),
    shell:
        "python -m pargo report page --settings {params.settings:q} {params.scores} "
        f"--tables {layout.reports}/tables --figures {layout.reports}/figures --output {{output}} > {{log}} 2>&1"
