"""Rows that are past their time, by DELETE and by `retention` from a plain and a partitioned table; and the average of all history, at one
and at ten times the history."""

import datetime
import json
import statistics
import time

import load
import rows
from partitions import CUSTOMERS, PAST_WEEKS

DELETE, PLAIN, WEEKS = "`DELETE` and `VACUUM`", "`retention apply`, plain table", "`retention apply`, weekly partitions"
SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'resource_metrics%' AND relname NOT LIKE '%hourly%' AND relkind = 'r'"
HISTORY = (30, 300)
OF_SAMPLES, OF_HISTORY = "average of a metric of an instance, all its samples", "average of a metric of an instance, all history"


def measure(bench, run, out):
    """`run` and `out` are those of run.py."""
    for name in ("plain", "weeks"):
        bench.template(name, lean=True, customers=CUSTOMERS)
        if name == "weeks":
            bench.dbctl("--database-url", bench.on(name), "partitions", "enable", "resource_metrics")
            bench.sql(PAST_WEEKS.format(table="resource_metrics", weeks=load.WEEKS + 1), database=name)
        bench.sql(f"INSERT INTO resource_metrics ({load.weeks(bench.rows, 'v7')})", "VACUUM ANALYZE resource_metrics", database=name)
    found = {name: [] for name in (DELETE, PLAIN, WEEKS)}
    for turn in range(bench.rounds):
        for name in found:
            bench.create("turn", "weeks" if name == WEEKS else "plain")
            bench.sql("CHECKPOINT")
            found[name].append(remove(bench, name))
            out(f"retention, round {turn + 1}: {name}: {found[name][-1]}")
    for name in ("turn", "plain", "weeks"):
        bench.drop(name)
    return {"rows": bench.rows, "removed": found, "history": [history(bench, run, days, out) for days in HISTORY]}


def remove(bench, name):
    """Removes the older half of the weeks."""
    today = datetime.datetime.now(datetime.timezone.utc)
    monday = today.replace(hour=0, minute=0, second=0, microsecond=0) - datetime.timedelta(days=today.weekday(), weeks=load.WEEKS // 2)
    lsn = bench.sql("SELECT pg_current_wal_insert_lsn()", database="turn")
    begin = time.perf_counter()
    if name == DELETE:
        bench.sql(f"DELETE FROM resource_metrics WHERE \"timestamp\" < '{monday.isoformat()}'", "VACUUM resource_metrics", database="turn")
    else:
        keep = int((datetime.datetime.now(datetime.timezone.utc) - monday).total_seconds())
        bench.dbctl("--database-url", bench.on("turn"), "retention", "apply", "--keep", f"resource_metrics={keep}s", "--trust-clock", "--yes")
    seconds = time.perf_counter() - begin
    wal = int(bench.sql(f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{lsn}')::bigint", database="turn"))
    left, size = bench.sql(f"SELECT (SELECT count(*) FROM resource_metrics), ({SIZE})", database="turn").split("|")
    return {"seconds": seconds, "wal_bytes": wal, "rows_left": int(left), "bytes_left": int(size)}


def history(bench, run, days, out):
    """Four instances with a sample a minute for so many days, whose hours are summed, and what the averages cost."""
    bench.template("history", lean=True)
    bench.sql(
        "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit, \"timestamp\") "
        f"SELECT a.id, {rows.customer(0)}, 'i-' || i, 'gpu', 'utilization', random() * 100, 'percent', t FROM (SELECT id FROM agents LIMIT 1) a, "
        f"generate_series(1, 4) i, generate_series(now() - interval '{days} days', now(), interval '1 minute') t",
        "INSERT INTO quality_metrics (agent_id, customer_id, request_id, model_name, model_version, overall_quality_score, \"timestamp\") "
        f"SELECT id, {rows.customer(0)}, 'one', 'model', '1', 0.5, now() FROM agents LIMIT 1",
        "VACUUM ANALYZE", database="history")
    begin = time.perf_counter()
    bench.dbctl("--database-url", bench.on("history"), "retention", "apply", "--keep", "resource_metrics=3650d", "--rollup", "1h", "--yes")
    seconds = time.perf_counter() - begin
    bench.sql("VACUUM ANALYZE", database="history")
    samples = int(bench.sql("SELECT count(*) FROM resource_metrics", database="history"))
    _, _, output = bench.timed([run.QUESTIONS, "200"], env=bench.environment("history"))
    asked = json.loads(output)
    bench.drop("history")
    figures = {"days": days, "samples": samples, "rollup_seconds": seconds, **{name: asked[name]["median_us"] for name in (OF_SAMPLES, OF_HISTORY)}}
    out(f"retention: {figures}")
    return figures


def report(section, table, thousands):
    median = lambda name, what: statistics.median(it[what] for it in section["removed"][name])
    removed = [[
        name, f"{median(name, 'seconds'):.2f}", f"{median(name, 'wal_bytes') / 1e6:.1f} MB", thousands(section["rows"] - median(name, "rows_left")),
        f"{median(name, 'bytes_left') / 1e6:.0f} MB",
    ] for name in section["removed"]]
    asked = [[
        it["days"], thousands(it["samples"]), f"{it['rollup_seconds']:.1f}", f"{it[OF_SAMPLES] / 1000:.2f} ms", f"{it[OF_HISTORY] / 1000:.2f} ms",
    ] for it in section["history"]]
    first, last = section["history"][0], section["history"][-1]
    return f"""## Retention

The older half of {thousands(section["rows"])} rows of four weeks, {len(section["removed"][WEEKS])} rounds, medians. `retention` deletes in small batches
and pauses between them as long as a batch took, so that writers are not held up.

{table(["how", "s", "WAL", "rows removed", "left on disk"], removed)}

Four instances with a sample a minute, their hours summed by `--rollup 1h`. Ten times the history: the average of all samples takes
{last[OF_SAMPLES] / first[OF_SAMPLES]:.1f} times as long, that of all history {last[OF_HISTORY] / first[OF_HISTORY]:.1f} times.

{table(["days", "samples", "first rollup, s", "`average`", "`average_of_history`"], asked)}
"""
