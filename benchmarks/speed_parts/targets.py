"""What must be reached, and the table that says whether it was."""

from __future__ import annotations

from typing import Any, NamedTuple


class Target(NamedTuple):
    """One figure of a question. With a peer, the ratio ours / peer is compared, without one our figure."""

    key: str
    what: str
    unit: str
    beside: str = ""  # whom it is measured beside, in the same run
    least: float | None = None
    most: float | None = None


TARGETS: dict[str, tuple[Target, ...]] = {
    "patchtst": (
        Target("32", "training, encoder as PatchTST, float32", "windows/s", "PatchTST", least=2.0),
        Target("best", "training, encoder as PatchTST, best dtype of each", "windows/s", "PatchTST", least=3.0),
        Target("blocks", "parameters of the stacked blocks", "", "PatchTST", least=0.9, most=1.1),
        Target("parameters", "parameters in all (theirs: 786,528 in a flat head)", "", "PatchTST"),
    ),
    "transformer": (
        Target("32", "training, `encoder_decoder`, float32", "windows/s", "VanillaTransformer", least=2.5),
        Target("best", "training, `encoder_decoder`, best dtype of each", "windows/s", "VanillaTransformer", least=2.5),
        Target("blocks", "parameters of the stacked blocks", "", "VanillaTransformer", least=0.9, most=1.1),
        Target("parameters", "parameters in all", "", "VanillaTransformer"),
    ),
    "forecasting": (
        Target("many", "1,000 series of 512, 64 ahead, 9 quantiles, 2M parameters", "series/s", "Chronos-Bolt-tiny", least=4.0),
        Target("many_long_tokens", "the same with 32 steps in a token", "series/s", "Chronos-Bolt-tiny", least=4.0),
        Target("one", "one series of 512, 64 ahead, 9 quantiles, 2M parameters", "ms", "Chronos-Bolt-tiny", most=0.36),
        Target("one_long_tokens", "the same with 32 steps in a token", "ms", "Chronos-Bolt-tiny", most=0.36),
    ),
    "tables": (
        Target("one", "`predict(frame)` of one series of 14,400 rows", "ms", "neuralforecast", most=0.5),
        Target("mean", "the same where the model is left open: the mean of two networks", "ms"),
        Target("share", "10,000 series, frame to frame, sizes of `model=auto`: time outside the forward pass", "%", most=50.0),
        Target("outside", "10,000 series, frame to frame, width 32, outside the forward pass", "s", "neuralforecast"),
        Target("whole", "10,000 series, frame to frame, width 32, all of it", "s", "neuralforecast"),
        Target("short", "memory while 100,000 series of 60 are forecast, over the frame", "times", most=4.0),
    ),
    "data_path": (
        Target("usual", "drawing and gathering, of a step of a small encoder on 10 million rows", "%", most=5.0),
        Target("patchtst", "the same, encoder as PatchTST", "%", most=5.0),
    ),
    "memory": (
        Target("fit", "`fit` on 10 million rows, over 10,000 rows and the frame", "MB", most=100.0),
        Target("epochs", "held at the end of epoch 10 over epoch 2", "MB", most=20.0),
        Target("csv", "reading a CSV of 2 million rows, over its size", "times", most=6.0),
    ),
    "growth": (
        Target("windows", "cost of a window, 1,024 a step over 128", "times", most=1.15),
        Target("local", "cost of a step of context, `local`, 16,384 over 2,048", "times", most=1.15),
        Target("panel", "training step, 100,000 series over 1,000", "times", most=1.15),
        Target("fit", "cost of a series in `fit`, 100,000 over 10,000", "times", most=1.15),
        Target("predict", "cost of a series in `predict`, 100,000 over 10,000", "times", most=1.15),
    ),
    "profile": (
        Target("32", "part of the matrix ceiling, training as PatchTST, float32 (aim: 50 %, or the next row)", "%"),
        Target("bf16", "part of the matrix ceiling, training as PatchTST, bfloat16", "%", least=25.0),
    ),
    "gpu": (
        Target("rate", "windows of 512 trained on a GPU, 2M parameters, bfloat16 (target: H200)", "windows/s", least=100_000.0),
        Target("beside", "the same beside", "windows/s", "PatchTST"),
        Target("share", "part of the bfloat16 matrix rate of the GPU", "%", least=20.0),
        Target("waits", "times that the host waits for the GPU in three steps", "", most=0.0),
        Target("data", "drawing and gathering, of a step", "%", most=5.0),
    ),
    "starting": (
        Target("import", "`import tsattn`", "s", most=0.2),
        Target("predict", "`python -m tsattn.predict` of five numbers, start to exit", "s", "`import torch`", most=2.5),
        Target("help", "`python -m tsattn.train --help`", "s", most=1.5),
    ),
}


def value_of(target: Target, found: dict[str, Any]) -> float | None:
    """The number that is compared with the target; None where the peer it needs was not measured."""
    if not target.beside:
        return found["ours"]["median"]
    return found["ours"]["median"] / found["peer"]["median"] if found.get("peer") else None


def reached(target: Target, found: dict[str, Any]) -> str:
    """yes | missed | not measured."""
    value = value_of(target, found)
    if value is None:
        return "not measured"
    enough = target.least is None or value >= target.least
    little = target.most is None or value <= target.most
    return "yes" if enough and little else "missed"


def rows(question: str, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per target of the question, for its JSON."""
    return [
        {**target._asdict(), **measured[target.key], "value": value_of(target, measured[target.key])}
        | {"reached": reached(target, measured[target.key])}
        for target in TARGETS[question]
        if target.key in measured
    ]


def shown(figure: dict[str, Any] | None, unit: str) -> str:
    """Median and range with their unit, three digits each."""
    if figure is None:
        return ""
    low, high = (digits(end) for end in figure["range"])
    around = f" ({low} to {high})" if low != high else ""
    return f"{digits(figure['median'])}{around}{' ' * bool(unit)}{unit}"


def digits(number: float) -> str:
    """Three digits, more for whole thousands."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def table(answers: dict[str, dict[str, Any]]) -> str:
    """The table of all questions that were answered, in the order of TARGETS."""
    lines = ["| question | ours | peer | ratio | target | reached |", "|---|---|---|---|---|---|"]
    for question in TARGETS:
        for row in answers.get(question, {"rows": []})["rows"]:
            wanted = [f"at least {row['least']:,g}"] if row["least"] is not None else []
            wanted += [f"at most {row['most']:g}"] if row["most"] is not None else []
            unit = " times" if row["beside"] else f"{' ' * bool(row['unit'])}{row['unit']}"
            unit = unit if wanted else ""
            beside = f"{row['beside']}: {shown(row.get('peer'), row['unit'])}" if row["beside"] else ""
            ratio = digits(row["value"]) if row["beside"] and row["value"] is not None else ""
            cells = (row["what"], shown(row["ours"], row["unit"]), beside, ratio, f"{' and '.join(wanted)}{unit}")
            mark = ("yes" if wanted else "") if row["reached"] == "yes" else f"**{row['reached']}**"
            lines.append(f"| {' | '.join((*cells, mark))} |")
    return "\n".join(lines)
