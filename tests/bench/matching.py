#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The matcher by kind and number of rules: script/bench --match [--max RULES] [--plot FILE.svg] [--json].

Runs bench_match and prints its reference points, a table of events a second for N rules of each kind, and what a rule
costs to add and to keep. --plot writes the table as a picture."""
import argparse
import json
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLORS = ["#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b", "#2a9d8f", "#d1495b", "#5c677d", "#e76f51", "#264653", "#7f5539"]


def measure(limit):
    program = ROOT / "build/release/bin/bench_match"
    out = subprocess.run([program, "--json", "--max", str(limit)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def by_kind(rows):
    """{kind: {rules: row}} of the cases that were measured with different numbers of rules."""
    kinds = {}
    for row in rows:
        if "case" in row:
            kinds.setdefault(row["case"], {})[row["rules"]] = row
    return {kind: sizes for kind, sizes in kinds.items() if len(sizes) > 1}


def short(number):
    if number >= 1e6:
        return f"{number / 1e6:.2f} M"
    return f"{number:,.0f}"


def table(kinds, value):
    sizes = sorted({n for rows in kinds.values() for n in rows})
    lines = ["| rules | " + " | ".join(f"{n:,}" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    lines += [f"| {kind} | " + " | ".join(value(rows[n]) if n in rows else "" for n in sizes) + " |" for kind, rows in kinds.items()]
    return "\n".join(lines)


def show(rows):
    kinds = by_kind(rows)
    print("Reference points, events a second\n\n| | 441 B | 872 B |\n|---|---|---|")
    for row in rows:
        if "reference" in row:
            print(f"| {row['reference']} | {short(row['clouds'])} | {short(row['lots'])} |")
    print("\nFive patterns and others, events a second\n\n| | rules | events a second | MB/s |\n|---|---|---|---|")
    for row in rows:
        if "case" in row and row["case"] not in kinds:
            print(f"| {row['case']} | {row['rules']:,} | {short(row['events_per_s'])} | {row['MB_per_s']:,} |")
    print("\nEvents a second\n\n" + table(kinds, lambda row: short(row["events_per_s"])))
    print("\nMicroseconds to add a rule, bytes to keep it\n\n" + table(kinds, lambda row: f"{row['build_us']:.2f}, {row['bytes_per_rule']}"))


def plot(rows):
    """Both axes logarithmic; a line for each kind."""
    kinds, width, height, left, top, right, bottom = by_kind(rows), 880, 460, 90, 20, 180, 50
    sizes = sorted({n for sizes in kinds.values() for n in sizes})
    rates = [row["events_per_s"] for sizes in kinds.values() for row in sizes.values()]
    low, high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    last = max(math.log10(sizes[-1]), 1)

    def x(n):
        return left + math.log10(n) / last * (width - left - right)

    def y(rate):
        return top + (high - math.log10(rate)) / (high - low) * (height - top - bottom)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for n in sizes:
        out.append(f'<line x1="{x(n):.0f}" x2="{x(n):.0f}" y1="{top}" y2="{height - bottom}" stroke="#ddd"/>'
                   f'<text x="{x(n):.0f}" y="{height - bottom + 18}" text-anchor="middle">{n:,}</text>')
    for power in range(low, high + 1):
        for rate in (10**power, 2 * 10**power, 5 * 10**power):
            if low <= math.log10(rate) <= high:
                out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(rate):.0f}" y2="{y(rate):.0f}" stroke="#ddd"/>'
                           f'<text x="{left - 8}" y="{y(rate) + 4:.0f}" text-anchor="end">{short(rate)}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">rules</text>'
               f'<text x="16" y="{height / 2}" text-anchor="middle" transform="rotate(-90 16 {height / 2})">events a second, one thread</text>')
    for i, (kind, rows_of) in enumerate(kinds.items()):
        color, points = COLORS[i % len(COLORS)], " ".join(f"{x(n):.1f},{y(rows_of[n]['events_per_s']):.1f}" for n in sorted(rows_of))
        out.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
                   f'<line x1="{width - right + 15}" x2="{width - right + 40}" y1="{top + 12 + i * 22}" y2="{top + 12 + i * 22}" stroke="{color}" stroke-width="3"/>'
                   f'<text x="{width - right + 46}" y="{top + 16 + i * 22}">{kind}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--max", type=int, default=100000, metavar="RULES")
    options.add_argument("--plot", type=pathlib.Path, metavar="FILE.svg")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    print(f"matcher: up to {args.max:,} rules of each kind, some two minutes", file=sys.stderr)
    rows = measure(args.max)
    if args.json:
        print("\n".join(json.dumps(row) for row in rows))
    else:
        show(rows)
    if args.plot:
        args.plot.write_text(plot(rows))


if __name__ == "__main__":
    main()
