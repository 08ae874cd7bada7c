"""Closed weeks into a table in weekly partitions: `psql \\copy` into empty partitions against `import`, which loads them whole."""

import json
import statistics

import rows
from partitions import CUSTOMERS, INSTANCES, PAST_WEEKS

WEEKS = 4
COPY = "psql \\copy"
TOGETHER = {
    "import, one transaction": [], "import, 1 connection": ["--on-conflict", "skip"],
    "import, 2 connections": ["--on-conflict", "skip", "--connections", "2"],
}


def measure(bench, run, out):
    """`run` and `out` are those of run.py."""
    bench.template("whole", lean=True, customers=CUSTOMERS)
    bench.dbctl("--database-url", bench.on("whole"), "partitions", "enable", "resource_metrics")
    bench.sql(PAST_WEEKS.format(table="resource_metrics", weeks=WEEKS + 1), database="whole")
    files = {ids: bench.scratch / f"weeks-{ids}.csv" for ids in ("v4", "v7")}
    for ids, file in files.items():
        bench.sql(f"\\copy ({weeks(bench.rows, ids)}) TO '{file}' CSV HEADER", database="whole")
    found = {}
    for turn in range(bench.rounds):
        for ids, file in files.items():
            for name in (COPY, *TOGETHER):
                bench.create("turn", "whole")
                bench.sql("CHECKPOINT")
                if name in TOGETHER:
                    command = [run.DBCTL, "--quiet", "--database-url", bench.on("turn"), "import", "resource_metrics", str(file), "--format", "json"]
                    seconds, peak, output = bench.timed([*command, *TOGETHER[name]])
                    parts = json.loads(output)["partitions"]
                else:
                    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"\\copy resource_metrics FROM '{file}' CSV HEADER", bench.on("turn")]
                    (seconds, peak, _), parts = bench.timed(command), []
                there = int(bench.sql("SELECT count(*) FROM resource_metrics", database="turn"))
                if there != bench.rows:
                    raise SystemExit(f"{name}: {there} rows instead of {bench.rows}")
                figures = found.setdefault((name, ids), {"seconds": [], "peak_kib": 0, "parts": []})
                figures["seconds"].append(seconds)
                figures["peak_kib"] = max(figures["peak_kib"], peak)
                figures["parts"].append({what: sum(part[f"{what}_seconds"] for part in parts) for what in ("copy", "index", "keys")})
                out(f"load, round {turn + 1}: {name}, {ids}: {bench.rows / seconds:,.0f} rows/s")
    bench.drop("turn")
    bench.drop("whole")
    return {"rows": bench.rows, "weeks": WEEKS, "contenders": [{"name": name, "ids": ids, **figures} for (name, ids), figures in found.items()]}


def weeks(count, ids):
    """Rows of the four weeks that ended last, in the order of their times."""
    time = f"date_trunc('week', now(), 'UTC') - interval '{WEEKS} weeks' + interval '{WEEKS} weeks' * (n::float8 / {count})"
    made = rows.samples(count, CUSTOMERS, INSTANCES)
    made = made[: made.index(" WHERE NOT ")]
    begin = made.index("CROSS JOIN LATERAL")
    made = f"{made[:begin]}CROSS JOIN LATERAL (SELECT {time}) AS time (t)"
    return made if ids == "v7" else f"SELECT gen_random_uuid() AS id, {made.split(' AS id, ', 1)[1]}"


def report(section, table, thousands):
    medians = {(it["name"], it["ids"]): statistics.median(it["seconds"]) for it in section["contenders"]}
    lines = []
    for it in section["contenders"]:
        seconds = medians[it["name"], it["ids"]]
        parts = [statistics.median(part[what] for part in it["parts"]) for what in ("copy", "index", "keys")]
        lines.append([
            it["name"], it["ids"], f"{seconds:.1f}", f"{min(it['seconds']):.1f} to {max(it['seconds']):.1f}", thousands(round(section["rows"] / seconds)),
            f"{medians[COPY, it['ids']] / seconds:.2f}",
            *(f"{part:.1f}" if part else "" for part in parts), f"{it['peak_kib'] / 1024:.0f}",
        ])
    headers = ["contender", "ids", "s", "all rounds", "rows/s", "ratio", "copy s", "index s", "keys s", "peak MiB"]
    return f"""## Whole partitions

{thousands(section["rows"])} rows of {section["weeks"]} closed weeks from a CSV file into `resource_metrics` in weekly partitions that have no rows, {len(section["contenders"][0]["seconds"])} rounds. The parts are sums
over the partitions, so with two connections they are more than what is left of the time after reading. Peak is that of psql or of the import.

{table(headers, lines)}
"""
