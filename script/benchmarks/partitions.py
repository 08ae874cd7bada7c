"""A table in weekly partitions against a plain one: live writing, questions, sizes, and becoming the other beside pgbench."""

import json
import os
import signal
import statistics
import subprocess
import time

import rows

SHAPES = ("plain", "weeks")
# Rows of a live write, of the newest minutes.
LIVE = 40_000
# Rows of the table that changes its shape, at most.
CHANGED = 2_000_000
INSTANCES, CUSTOMERS = 1000, 20
# Rows a day, so that more rows are more history.
A_DAY = 66_667

# The first partition takes all the past: weeks in its place, as they are where a table is old.
PAST_WEEKS = """DO $$ DECLARE
    upto timestamptz := (SELECT substring(pg_get_expr(relpartbound, oid) FROM $q$TO \\('([^']+)'$q$) FROM pg_class WHERE oid = '{table}_first'::regclass);
    monday timestamptz := date_trunc('week', now(), 'UTC') - interval '{weeks} weeks';
BEGIN
    DROP TABLE {table}_first;
    WHILE monday < upto LOOP
        EXECUTE format('CREATE TABLE {table}_%s PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)', to_char(monday, 'YYYYMMDD'), monday,
            monday + interval '7 days');
        monday := monday + interval '7 days';
    END LOOP;
END $$"""

WORK = {
    "insert of 20 rows": "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit, \"timestamp\") "
                         f"SELECT a.id, {rows.customer('n % 20')}, 'i-' || n, 'gpu', 'utilization', random() * 100, 'percent', clock_timestamp() "
                         "FROM (SELECT id FROM agents LIMIT 1) a, generate_series(1, 20) n;",
    "newest ten of a customer": f"SELECT * FROM resource_metrics WHERE customer_id = {rows.ONE} {rows.NEWEST} 10;",
    "heartbeat": "UPDATE agents SET last_heartbeat = now();",
}


def measure(bench, run, out):
    """`run` and `out` are those of run.py."""
    levels = [bench.rows // 10, bench.rows]
    found = []
    for count in levels:
        weeks = count // A_DAY // 7 + 2
        for shape in SHAPES:
            fill(bench, f"{shape}_{count}", count, shape, weeks)
            out(f"partitions: {count} rows, {shape}: made")
        found.append({"rows": count, "weeks": weeks, "shapes": {shape: of_shape(bench, run, f"{shape}_{count}") for shape in SHAPES}})
    changed = min(bench.rows, CHANGED)
    fill(bench, "changed", changed, "plain", 0)
    with bench.undisturbed():
        written = write(bench, levels, out)
        changes = [change(bench, "changed", verb, out) for verb in ("enable", "disable")]
    for level in found:
        for shape, figures in level["shapes"].items():
            figures["rows_per_second"] = {ids: [round(rate) for rate in written[level["rows"], shape, ids]] for ids in ("v4", "v7")}
    bench.drop("changed")
    for count in levels:
        for shape in SHAPES:
            bench.drop(f"{shape}_{count}")
    return {"levels": found, "changes": changes, "change_rows": changed, "live": LIVE}


def write(bench, levels, out):
    """Rows a second of each turn, by rows that are there, shape and ids."""
    written = {(count, shape, ids): [] for count in levels for shape in SHAPES for ids in ("v4", "v7")}
    for turn in range(bench.rounds):
        for ids in ("v4", "v7"):
            file = bench.scratch / f"live-{ids}.csv"
            bench.sql(f"\\copy ({live(ids)}) TO '{file}' CSV", database="changed")
            for count in levels:
                for shape in SHAPES:
                    bench.sql("CHECKPOINT")
                    begin = time.perf_counter()
                    bench.sql(f"\\copy resource_metrics FROM '{file}' CSV", database=f"{shape}_{count}")
                    written[count, shape, ids].append(LIVE / (time.perf_counter() - begin))
                    out(f"partitions, round {turn + 1}: {ids} into {shape} of {count}: {written[count, shape, ids][-1]:,.0f} rows/s")
    return written


def fill(bench, database, count, shape, weeks):
    bench.template(database, lean=True, customers=CUSTOMERS)
    if shape == "weeks":
        bench.dbctl("--database-url", bench.on(database), "partitions", "enable", "resource_metrics", "quality_metrics")
        for table in ("resource_metrics", "quality_metrics"):
            bench.sql(PAST_WEEKS.format(table=table, weeks=weeks), database=database)
    seconds = 86_400 * INSTANCES * len(rows.KINDS) // A_DAY
    bench.fill(database, count, CUSTOMERS, INSTANCES, seconds=seconds, answers=count // 50)


def live(ids):
    """Samples of the last minutes, which no other call makes again."""
    made = rows.samples(LIVE, CUSTOMERS, INSTANCES).replace("md5(n::text)", "md5(random()::text)")
    return made if ids == "v7" else f"SELECT gen_random_uuid() AS id, {made.split(' AS id, ', 1)[1]}"


def of_shape(bench, run, database):
    size = "SELECT sum(pg_total_relation_size(oid)), sum(pg_indexes_size(oid)) FROM pg_class WHERE relname LIKE 'resource_metrics%' AND relkind = 'r'"
    total, indexes = map(int, bench.sql(size, database=database).split("|"))
    _, _, output = bench.timed([run.QUESTIONS, "200"], env=bench.environment(database))
    return {"bytes": total, "index_bytes": indexes, "questions": json.loads(output)}


def change(bench, database, verb, out):
    """Changes the shape beside pgbench, and returns how long that took and the longest of each statement."""
    scripts = []
    for place, statement in enumerate(WORK.values()):
        path = bench.scratch / f"work-{place}.sql"
        path.write_text(statement + "\n")
        scripts += ["-f", str(path)]
    prefix = bench.scratch / f"log-{verb}"
    before = fingerprint(bench, database)
    command = ["pgbench", "-n", "-c", "3", "-j", "1", "-T", "86400", "-l", "--log-prefix", str(prefix), *scripts, bench.on(database)]
    # What a shell starts in the background ignores SIGINT, and so would pgbench.
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    time.sleep(3)
    begin = time.perf_counter()
    bench.dbctl("--database-url", bench.on(database), "partitions", verb, "resource_metrics")
    seconds = time.perf_counter() - begin
    time.sleep(1)
    load.send_signal(signal.SIGINT)
    errors = load.communicate()[1]
    taken = {name: [] for name in WORK}
    for log in bench.scratch.glob(f"log-{verb}*"):
        for line in log.read_text().splitlines():
            fields = line.split()
            # The last line is cut where pgbench is ended.
            if len(fields) != 6:
                continue
            taken[list(WORK)[int(fields[3])]].append(int(fields[2]) / 1000)
    failed = sum("ERROR" in line or "aborted" in line for line in errors.splitlines())
    out(f"partitions: {verb} took {seconds:.1f} s beside {sum(map(len, taken.values()))} transactions, {failed} failed")
    return {
        "verb": verb, "seconds": seconds, "failed": failed, "same_rows": fingerprint(bench, database) == before,
        "work": {name: {"count": len(times), "median_ms": statistics.median(times), "longest_ms": max(times)} for name, times in taken.items()},
    }


def fingerprint(bench, database):
    """Count and hash of the rows that were there before anything was written beside the change."""
    query = ("SELECT count(*), sum(hashtextextended(r::text, 0)) FROM resource_metrics r WHERE created_at < "
             "(SELECT min(created_at) FROM agents) - interval '1 minute'")
    return bench.sql(query, database=database)
