"""The gate: a report beside an earlier one, and whether anything regressed."""

from __future__ import annotations

from pathlib import Path

from bench.report.schema import Cpu, ModelPart, Report
from common.files import read_json
from common.refusal import Refusal

GATE = 0.02
"""How much mean or worst CPU may grow, relatively, before it is called a regression."""
SIZES = {"weight_bytes": "weights", "state_bytes": "state", "stack_bytes": "stack"}


def against(new: Report, old_path: Path) -> tuple[list[str], bool]:
    """Compare with an earlier report.

    Returns
    -------
    lines, one per figure that changed, and whether anything regressed by more than `GATE`.

    Raises
    ------
    Refusal
        The old file is not a report, one of another board, or damaged.
    """
    old = read_json(old_path)
    if old.get("kind") != "vaectrol bench" or not isinstance(old.get("models"), dict):
        raise Refusal(f"{old_path} is not a report of `vaectrol bench`.")
    if old.get("board") != new["board"]:
        raise Refusal(f"{old_path} is a report for {old.get('board')}, this one is for {new['board']}.")
    lines: list[str] = []
    worse = False
    try:
        if "instrument" in new and "instrument" in old:
            worse = _compare("whole instrument", old["instrument"]["cpu"], new["instrument"]["cpu"], lines)
        for role, part in new["models"].items():
            worse = _compare_models(role, old["models"].get(role), part, lines) or worse
    except (KeyError, TypeError, AttributeError) as error:
        raise Refusal(f"{old_path} is a damaged report ({error}); make it anew.") from None
    return lines, worse


def _compare(name: str, was: Cpu, now: Cpu, lines: list[str]) -> bool:
    """Add a line for every share that changed; whether mean or worst grew too much."""
    worse = False
    shares = ((k, was[k], now[k]) for k in ("mean", "worst", "p99"))  # type: ignore[literal-required]
    for figure, before, after in shares:
        if before and abs(after / before - 1) > 1e-6:
            regressed = after / before - 1 > GATE
            worse = worse or (regressed and figure != "p99")
            lines.append(
                f"{name}: CPU {figure} {before:.2%} → {after:.2%} ({after / before - 1:+.1%})"
                + " REGRESSED" * regressed
            )
    return worse


def _compare_models(role: str, was: ModelPart | None, now: ModelPart, lines: list[str]) -> bool:
    if "predicted" not in now:
        return False
    if was is None or "predicted" not in was:
        lines.append(f"{role}: new")
        return False
    before, after = was["predicted"], now["predicted"]
    worse = _compare(role, before["cpu"], after["cpu"], lines)
    for key, words in SIZES.items():
        old, new = before.get(key), after.get(key)
        if isinstance(old, int) and isinstance(new, int) and old != new:
            lines.append(f"{role}: bytes of {words} {old:,} → {new:,}")
    return worse
