"""`ncodec tokenize`: data sets to shards of codes."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import ArgumentError, NcodecError, counted
from ncodec_cli.checks import check_model
from ncodec_cli.common import (
    device_option,
    json_option,
    model_option,
    quiet_option,
    usable_cores,
    use_threads,
)
from ncodec_cli.line import put, put_json, say, say_error
from ncodec_cli.parameters import Between
from ncodec_cli.progress import Progress, clock, times

if TYPE_CHECKING:
    from ncodec.datasets.tokenizing import Tokenized


@click.command
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="IN... OUT")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "webdataset", "shar"]),
    default="parquet",
    show_default=True,
    help="What shards are: Parquet tables, tars of WebDataset, or Lhotse Shar.",
)
@model_option
@click.option(
    "--codebooks", type=Between(1), metavar="K", help="Codebooks. [default: those of 6 kbps]"
)
@click.option(
    "--shard-size",
    type=Between(1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Recordings a shard: make it minutes of work.",
)
@click.option(
    "-j", "--jobs", type=Between(1), metavar="N", help="Workers. [default: the number of cores]"
)
@click.option(
    "--batch",
    type=Between(1),
    metavar="N",
    help="Recordings that go through the model side by side. [default: 8 on a CPU, else 32]",
)
@device_option
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="Whose workers: processes of this machine, or actors of Ray.",
)
@click.option("--address", metavar="ADDR", help="Of a Ray cluster; auto finds the one that runs.")
@click.option(
    "--verify", is_flag=True, help="Check OUT: all of its shards, and a sample by coding it again."
)
@click.option(
    "--sample",
    type=Between(0),
    default=20,
    metavar="N",
    help="Recordings that --verify codes again.",
)
@quiet_option
@json_option
def tokenize(paths: tuple[str, ...], **options: Any) -> None:
    """Code data sets into shards of codes, to train language models on.

    IN is a folder, an audio file, a list (.txt), a manifest (.csv or .jsonl with path and perhaps
    id, text and labels), a tar of WebDataset, or a Parquet file with audio bytes. OUT is a folder:
    shards/ holds the codes, errors.jsonl names what could not be read. What is killed goes on when
    it is started again; the shards are the same, whatever the number of workers.

    \b
    Examples:
      ncodec tokenize speech/ codes/
      ncodec tokenize train.csv codes/ --format webdataset --codebooks 8 --jobs 16
      ncodec tokenize 'shards/a.tar' 'shards/b.tar' codes/ --device cuda
      ncodec tokenize --verify codes/
    """
    if options["verify"]:
        _verify(paths, options)
        return
    if len(paths) < 2:
        raise click.UsageError("IN... OUT: inputs and the folder of the output are needed")
    if options["address"] is not None and options["engine"] != "ray":
        raise click.UsageError("--address is of --engine ray")
    check_model(options)
    from ncodec.datasets.tokenizing import tokenize as run
    from ncodec.runtime import pick_device

    device, quiet = pick_device(options["device"]), options["quiet"]
    jobs = options["jobs"] or (usable_cores() if device == "cpu" else 1)
    use_threads(1 if device == "cpu" else None)
    with Progress(Path(paths[-1]).name, quiet=quiet) as progress:
        done = run(
            paths[:-1],
            paths[-1],
            format=options["kind"],
            model=options["model"],
            codebooks=options["codebooks"],
            shard_size=options["shard_size"],
            jobs=jobs,
            device=device,
            batch=options["batch"],
            engine=options["engine"],
            address=options["address"],
            progress=progress,
            say=lambda text: say(text, quiet=quiet),
        )
        took = progress.seconds
    _tell(done, took, options)


def _tell(done: Tokenized, took: float, options: dict[str, Any]) -> None:
    folder, shards = done.run.folder, done.run.shards
    if options["as_json"]:
        put_json(
            {
                "output": str(folder),
                "recordings": done.rows,
                "errors": done.errors,
                "seconds": done.seconds,
                "frames": done.frames,
                "shards": shards,
                "shards_before": done.before,
                "took": took,
            }
        )
    elif done.rows:
        before = f", {done.before} of them from before" if done.before else ""
        speed = f", {times(done.seconds / took)} real time" if took and not done.before else ""
        what = f"{counted(done.rows, 'recording')}, {clock(done.seconds)}"
        say(f"{folder}: {what}, {counted(shards, 'shard')}{before}{speed}", quiet=options["quiet"])
    if done.errors:
        told = (
            f"{counted(done.errors, 'recording')} could not be read: see {folder / 'errors.jsonl'}"
        )
        if not done.rows:
            raise NcodecError(told)
        say_error(told, "warning")


def _verify(paths: tuple[str, ...], options: dict[str, Any]) -> None:
    if len(paths) != 1:
        raise click.UsageError("--verify takes the folder OUT alone")
    check_model(options)
    use_threads(None)
    from ncodec.datasets.checking import check
    from ncodec.datasets.run import Run
    from ncodec.runtime import pick_device

    run = Run.open(paths[0])
    found = check(
        run, model=options["model"], sample=options["sample"], device=pick_device(options["device"])
    )
    for fault in found.faults:
        say_error(f"{run.folder}: {fault}")
    if options["as_json"]:
        distance = None if math.isnan(found.mel) else found.mel
        put_json({**asdict(found), "mel": distance})
    elif not found.faults:
        again = (
            f", whole; {found.sampled} coded again: {found.differing} of {found.frames} frames "
            f"differ; decoded at a log-mel distance of {found.mel:.2f}"
        )
        whole = again if found.sampled else ", whole"
        put(f"{run.folder}: {counted(found.rows, 'recording')}{whole}")
    if found.faults:
        raise ArgumentError(f"{run.folder}: {counted(len(found.faults), 'fault')}")
