"""Trained and released models: export, ask, serve and convert them."""

from __future__ import annotations

from pathlib import Path

import click

from pargo.commands.options import PATH, Number


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--language", type=PATH, help="Language model's directory, if RUN does not tell.")
@click.option("--vision", type=PATH, help="Vision tower's directory, if RUN does not tell.")
@click.option(
    "--dtype", default="bfloat16", show_default=True, help="Of the language model's weights: bfloat16 or float32."
)
@click.option(
    "--compare", type=Number(int, 0), default=64, show_default=True, help="Questions of the run to ask the copy again."
)
@click.option("--shard-size", default="5GB", show_default=True, help="Largest file of weights.")
def export(
    run: Path, directory: Path, language: Path | None, vision: Path | None, dtype: str, compare: int, shard_size: str
) -> None:
    """Write a trained model as a complete transformers directory with model card.

    RUN is the directory of a fine-tuned or converted model, DIR a new one, which transformers can load.
    """
    from pargo.export.arguments import check_export

    check_export(run, directory, language, vision, dtype, shard_size)
    import torch

    from pargo.export.run import export as write

    types = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    sources = {"language": language, "vision": vision}
    agreement = write(run, directory, **sources, dtype=types[dtype], compare=compare, shard_size=shard_size)
    click.echo(f"written: {directory}")
    if agreement is not None:
        click.echo(f"asked again: {agreement.equal} of {agreement.asked} answers are those of the run")


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.argument("image", metavar="IMAGE", type=PATH)
@click.option("--question", multiple=True, help="Ask this and stop; may be repeated.")
@click.option("--save-attention", type=PATH, metavar="FILE", help="PNG or SVG of where partial and global tokens look.")
def chat(directory: Path, image: Path, question: tuple[str, ...], save_attention: Path | None) -> None:
    """Ask an exported model, in DIR, about an image; an empty line ends the conversation."""
    from pargo.export.arguments import check_chat

    check_chat(directory, image, save_attention)
    from pargo.export.chat import chat as talk

    talk(directory, image, questions=question, attention=save_attention)


@click.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@click.argument("directory", metavar="DIR", type=PATH)
@click.pass_context
def serve(context: click.Context, directory: Path) -> None:
    """Run `transformers serve` with an exported model, in DIR; further options are passed on (--port 8001)."""
    from pargo.export.arguments import check_exported

    check_exported(directory)
    from pargo.export.serve import serve as run

    run(directory, context.args)


@click.command("convert-release")
@click.argument("checkpoint", metavar="CKPT", type=PATH)
@click.argument("directory", metavar="DIR", type=PATH)
@click.option(
    "--num-heads",
    type=Number(int, 1),
    default=8,
    show_default=True,
    help="Attention heads of the projector; not in the checkpoint.",
)
@click.option(
    "--num-partial-tokens",
    type=Number(int, 0),
    default=288,
    show_default=True,
    help="The first queries; the rest are global.",
)
def convert_release(checkpoint: Path, directory: Path, num_heads: int, num_partial_tokens: int) -> None:
    """Convert the official release's checkpoint, strictly: projector, ln_vision, llm_proj, LoRA.

    CKPT is the released checkpoint (.pt), DIR a new model directory, for `pargo export`.
    """
    from pargo.export.arguments import check_release

    check_release(checkpoint, directory)
    from pargo.export.release import convert_release as convert

    convert(checkpoint, directory, num_heads=num_heads, num_partial_tokens=num_partial_tokens)
    click.echo(f"written: {directory}")


@click.command("convert-language")
@click.argument("source", metavar="SOURCE", type=PATH)
@click.argument("directory", metavar="DIR", type=PATH)
def convert_language(source: Path, directory: Path) -> None:
    """Convert a language model: GGUF to safetensors, InternLM2 to the Llama layout.

    SOURCE is a GGUF file, or the directory of an InternLM2 model; DIR a new one, which transformers can load.
    """
    from pargo.export.arguments import check_language

    check_language(source, directory)
    from pargo.sources.importers.convert import convert_language_model

    convert_language_model(source, directory)
    click.echo(f"written: {directory}")
