"""history: runs kept over time, drawn with the places where a level changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Keep ratios of many runs, and draw where they changed.")
FILE = Path("reports/history.jsonl")
File = Annotated[Path, typer.Option(help="The history.")]


@app.command()
def add(
    results: Annotated[Path, typer.Argument(help="results.json, or a folder that holds one.")],
    file: File = FILE,
    commit: Annotated[str, typer.Option(help="What was measured.")] = "",
) -> None:
    """Append a run to a history."""
    from upsampler_bench import history, storage

    count = history.add(file, history.entries(storage.load(results), commit))
    print(f"{file}: {count} entries, one a condition of each run; a run that is there already adds none")


@app.command()
def show(
    file: File = FILE,
    output_dir: Annotated[Path | None, typer.Option(help="Where pictures go; beside the history by default.")] = None,
) -> None:
    """Print every change of level, and draw each series."""
    from upsampler_bench import history
    from upsampler_bench.commands.work import console
    from upsampler_bench.history import changes, drawing
    from upsampler_bench.storage import write_whole

    lines = history.lines(history.read(file))
    if not lines:
        print(f"{file} holds no run yet; 'upsampler-bench history add' puts one in")
    for number, line in enumerate(lines, start=1):
        timed = {name: history.having(line, name) for name in line[-1].ratios if name != line[-1].baseline}
        found = {name: changes.changes([one.ratios[name][0] for one in runs]) for name, runs in timed.items()}
        few = f", too few for a change of level ({2 * changes.FEWEST} tell)" if len(line) < 2 * changes.FEWEST else ""
        print(f"{line[-1].words}: {len(line)} run{'s' * (len(line) != 1)}{few}")
        for name, runs in timed.items():
            for change in found[name]:
                at = runs[change.place]
                print(
                    f"  {name}: {change.ratio:.3f}x from {at.when[:16]} on{f' ({at.commit[:10]})' if at.commit else ''}"
                )
        target = (output_dir or file.parent) / f"history-{number}.png"
        write_whole(target, drawing.draw(line, found))
        console(stderr=True).print(f"Wrote {target}", highlight=False)
