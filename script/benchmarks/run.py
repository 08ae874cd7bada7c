"""Measures; script/bench prepares what this needs and calls it. Nothing but the standard library.

A section is a function that returns its figures. They are kept in benchmarks.json, from which report.py writes the page
and the chart, so a section can be measured alone.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import load
import partitions
import report
import retention
import rows

ROOT = Path(__file__).resolve().parents[2]
DBCTL = str(ROOT / "target/release/optiinfra-dbctl")
BULK_LOAD = str(ROOT / "target/release/examples/bulk_load")
QUESTIONS = str(ROOT / "target/release/examples/questions")
ADD_ALL = str(ROOT / "script/benchmarks/add_all.py")
DIESEL = os.environ.get("DIESEL", "")

# The indexes as the platform deployed them are there until this migration.
LEAN = "lean_hot_indexes"
MIGRATIONS = sorted(path for path in (ROOT / "migrations").iterdir() if path.is_dir())
BEFORE_LEAN = [path for path in MIGRATIONS if path.name < next(m.name for m in MIGRATIONS if LEAN in m.name)]

# Rows that the slow contenders of `ingest` write at most; their rate is compared.
FEW = 200_000
MOST_INGESTED = 2_000_000
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB", "maintenance_work_mem": "256MB"}


class Bench:
    def __init__(self, options):
        self.rows, self.rounds, self.first = options.rows, options.rounds, options.first
        self.scratch = Path(tempfile.mkdtemp(prefix="optiinfra-bench.", dir=options.scratch))
        self.scratch.chmod(0o755)
        # Whoever owns the cluster must be able to make it: its directory stands beside ours and not in it.
        os.environ["OPTIINFRA_LOCAL_DIR"] = f"{self.scratch}.pg"

    # The cluster

    def start(self):
        out("starting a PostgreSQL")
        self.dbctl("local", "start")
        self.url = self.dbctl("local", "url").strip()
        for name, value in SETTINGS.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.dbctl("local", "stop")
        self.dbctl("local", "start")

    def stop(self):
        subprocess.run([DBCTL, "--quiet", "local", "destroy", "--yes"], stdout=subprocess.DEVNULL)
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.rmtree(f"{self.scratch}.pg", ignore_errors=True)

    @contextlib.contextmanager
    def undisturbed(self):
        """With --first the server and what talks to it go before every other process of the machine."""
        if not self.first:
            yield
            return
        # Real-time priority has no time slices: with more sessions than cores one can wait for seconds.
        for nice in (-20, 0):
            self.dbctl("local", "stop")
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            self.dbctl("local", "start")
            if nice < 0:
                yield

    def dbctl(self, *arguments):
        return run([DBCTL, "--quiet", *arguments])

    def on(self, database):
        """The URL of a database: the cluster's own URL names one behind its last slash."""
        return re.sub(r"///[^?]*", f"///{database}", self.url)

    def sql(self, *statements, database="postgres"):
        commands = [part for statement in statements for part in ("--command", statement)]
        return run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", *commands, self.on(database)]).strip()

    def create(self, name, template="template0"):
        self.drop(name)
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")

    def drop(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def template(self, name, lean, customers=1):
        """A migrated database with customers and an agent."""
        self.create(name)
        to = [] if lean else ["--to", BEFORE_LEAN[-1].name]
        self.dbctl("--database-url", self.on(name), "migrate", *to)
        self.sql(rows.customers(customers), rows.AGENT, database=name)

    def timed(self, command, **more):
        """Seconds and peak memory in KiB of a process that must succeed."""
        # Files, because nobody would empty pipes while it runs.
        with open(self.scratch / "stdout", "w+") as output, open(self.scratch / "stderr", "w+") as errors:
            begin = time.perf_counter()
            process = subprocess.Popen(command, stdout=output, stderr=errors, **more)
            peak = 0
            # Linux tells the peak of a process while it runs; what `wait` tells begins with its parent's.
            while process.poll() is None:
                peak = max(peak, peak_of(process.pid))
                time.sleep(0.002)
            seconds = time.perf_counter() - begin
            output.seek(0)
            errors.seek(0)
            if process.returncode != 0:
                sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{errors.read()}")
            return seconds, peak, output.read()

    # Sections

    def ingest(self):
        count = min(self.rows, MOST_INGESTED)
        self.template("lean", lean=True)
        self.template("deployed", lean=False)
        self.create("bare", "lean")
        self.sql(*rows.BARE, database="bare")
        files = {}
        for ids in ("v4", "v7"):
            files[ids] = self.scratch / f"rows-{ids}.csv"
            with open(files[ids], "w") as file:
                command = [BULK_LOAD, "--csv", "--rows", str(count), "--ids", ids]
                subprocess.run(command, stdout=file, check=True, env=self.environment("lean"))
        halves = split(files["v7"], self.scratch)
        contenders = [
            ("psql \\copy", "bare", "v7", 1, count, self.copy([files["v7"]])),
            ("psql \\copy", "deployed", "v4", 1, count, self.copy([files["v4"]])),
            ("psql \\copy", "deployed", "v7", 1, count, self.copy([files["v7"]])),
            ("psql \\copy", "lean", "v4", 1, count, self.copy([files["v4"]])),
            ("psql \\copy", "lean", "v7", 1, count, self.copy([files["v7"]])),
            ("psql \\copy", "lean", "v7", 2, count, self.copy(halves)),
            ("BulkWriter", "deployed", "v4", 1, count, self.bulk_load(count, "v4", 1)),
            ("BulkWriter", "lean", "v7", 1, count, self.bulk_load(count, "v7", 1)),
            ("BulkWriter", "lean", "v7", 2, count, self.bulk_load(count, "v7", 2)),
            ("BulkWriter, retryable", "lean", "v7", 1, count, self.bulk_load(count, "v7", 1, "--on-conflict", "skip")),
            ("INSERT, 1000 rows each", "deployed", "v4", 1, min(FEW, count), self.add_all(files["v4"], "batched")),
            ("INSERT, 1000 rows each", "lean", "v7", 1, min(FEW, count), self.add_all(files["v7"], "batched")),
            ("SQLAlchemy add_all", "deployed", "v4", 1, min(FEW, count), self.add_all(files["v4"], "orm")),
            ("SQLAlchemy add_all", "lean", "v7", 1, min(FEW, count), self.add_all(files["v7"], "orm")),
        ]
        found = [[] for _ in contenders]
        for turn in range(self.rounds):
            for place, (name, schema, ids, connections, written, write) in enumerate(contenders):
                self.create("turn", schema)
                self.sql("CHECKPOINT")
                seconds, peak = write("turn")
                there = int(self.sql("SELECT count(*) FROM resource_metrics", database="turn"))
                if there != written:
                    sys.exit(f"{name}: {there} rows instead of {written}")
                found[place].append((written / seconds, peak))
                out(f"ingest, round {turn + 1}: {name}, {schema}, {ids}, {connections}: {written / seconds:,.0f} rows/s")
        self.drop("turn")
        figures = [
            {"name": name, "schema": schema, "ids": ids, "connections": connections, "rows": written,
             "rows_per_second": [round(rate) for rate, _ in rates], "peak_kib": max(peak for _, peak in rates)}
            for (name, schema, ids, connections, written, _), rates in zip(contenders, found)
        ]
        return {"rows": count, "contenders": figures}

    def memory(self):
        """One run over all rows: does the memory stay the same?"""
        self.template("lean", lean=True)
        figures = []
        for count in levels(self.rows)[-2:]:
            self.create("turn", "lean")
            _, _, output = self.timed(bulk_command(count, "v7", 2), env=self.environment("turn"))
            told = json.loads(output)
            figures.append({"rows": count, "peak_kib": told["peak_memory_kib"], "rows_per_second": told["rows_per_second"]})
            out(f"memory: {count} rows: {told['peak_memory_kib'] / 1024:.1f} MiB")
        self.drop("turn")
        return {"connections": 2, "levels": figures}

    def indexes(self):
        """What each choice of indexes costs a writer and gains a reader."""
        count = min(self.rows, 1_000_000)
        self.template("deployed", lean=False, customers=20)
        self.template("lean", lean=True, customers=20)
        file = self.scratch / "indexes.csv"
        self.sql(f"\\copy ({rows.samples(count, 20, 1000)}) TO '{file}' CSV", database="lean")
        quality = self.scratch / "quality.csv"
        self.sql(f"\\copy ({rows.answers(count // 2, 20)}) TO '{quality}' CSV", database="lean")
        figures = []
        for table, path, variants in (("resource_metrics", file, rows.VARIANTS), ("quality_metrics", quality, rows.QUALITY_VARIANTS)):
            costs = {name: [] for name, *_ in variants}
            for turn in range(self.rounds):
                for name, schema, changes, why in variants:
                    self.create("turn", schema)
                    self.sql(*changes, "CHECKPOINT", database="turn")
                    costs[name].append(self.write_cost("turn", table, path))
                    if turn + 1 == self.rounds:
                        self.sql(f"VACUUM ANALYZE {table}", database="turn")
                        figures.append({
                            "table": table, "name": name, "why": why, "size": self.index_bytes("turn", table),
                            "reads": {question: self.read_cost("turn", sql) for question, sql in rows.READS[table].items()},
                        })
                    out(f"indexes, round {turn + 1}: {table}, {name}: {costs[name][-1][0]:.1f} s")
            for figure in figures:
                if figure["table"] == table:
                    seconds, cpu, wal = zip(*costs[figure["name"]])
                    figure |= {"seconds": seconds, "cpu": cpu, "wal_bytes": wal}
        self.drop("turn")
        return {"rows": {"resource_metrics": count, "quality_metrics": count // 2}, "variants": figures}

    def write_cost(self, database, table, path):
        """Seconds, the server's processor time, and bytes of WAL of a COPY."""
        script = (
            "SELECT pg_current_wal_insert_lsn() AS before \\gset\n"
            f"\\copy {table} FROM '{path}' CSV\n"
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'before')::bigint\n\\g\n"
            "SELECT coalesce(pg_read_file('/proc/self/stat', 0, 1000, true), '')\n\\g\n"
        )
        begin = time.perf_counter()
        lines = run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", self.on(database)], input=script).strip().split("\n")
        seconds = time.perf_counter() - begin
        stat = lines[1].split() if len(lines) > 1 and lines[1] else None
        ticks = os.sysconf("SC_CLK_TCK")
        return seconds, (int(stat[13]) + int(stat[14])) / ticks if stat else None, int(lines[0])

    def read_cost(self, database, sql):
        """Milliseconds and blocks, the quickest of three."""
        return min(self.explain(database, sql)[:2] for _ in range(3))

    def explain(self, database, sql, *before):
        """Milliseconds, blocks, and the indexes that were used."""
        plan = json.loads(self.sql(*before, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {sql}", database=database))[0]
        blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        return plan["Execution Time"], blocks, sorted(set(indexes_of(plan["Plan"])))

    def index_bytes(self, database, table):
        return int(self.sql(f"SELECT pg_indexes_size('{table}')", database=database))

    def tenancy(self):
        """What row security costs a customer's question, against the same question with a filter."""
        count = min(self.rows, 1_000_000)
        customers, instances = rows.fleet(count)
        self.template("tenants", lean=True, customers=customers)
        self.fill("tenants", count, customers, instances)
        self.dbctl("--database-url", self.on("tenants"), "roles", "apply")
        for database in rows.TENANTS_DATABASES:
            self.create(database, "tenants")
        self.sql(*rows.TYPES_DROPPED, database="without")
        found = {name: {database: {"filter": [], "policy": []} for database in rows.TENANTS_DATABASES} for name in rows.TENANTS_QUESTIONS}
        # The first round fills the caches.
        for _ in range(self.rounds + 1):
            for name, (question, asker) in rows.TENANTS_QUESTIONS.items():
                for database in rows.TENANTS_DATABASES:
                    figures = found[name][database]
                    filtered = question.format(f"customer_id = {rows.customer(str(asker % customers))}")
                    figures["filter"].append(self.explain(database, filtered)[0])
                    application = rows.as_application(asker % customers)
                    time, _, figures["indexes"] = self.explain(database, question.format("true"), *application)
                    figures["policy"].append(time)
        for database in (*rows.TENANTS_DATABASES, "tenants"):
            self.drop(database)
        for figures in (figures for by_database in found.values() for figures in by_database.values()):
            del figures["filter"][0], figures["policy"][0]
        return {"rows": count, "customers": customers, "questions": found}

    def migrate(self):
        """The migrations that all three can run: diesel_cli and psql -1 make one transaction of what must not be one."""
        some = self.scratch / "migrations"
        for path in BEFORE_LEAN:
            shutil.copytree(path, some / path.name)
        script = self.scratch / "all.sql"
        script.write_text("\n".join((path / "up.sql").read_text() for path in BEFORE_LEAN))
        last = BEFORE_LEAN[-1].name
        quiet = {"env": os.environ | {"PGOPTIONS": "--client-min-messages=warning"}}
        contenders = {
            "optiinfra-dbctl migrate": ([DBCTL, "--quiet", "--database-url", self.on("turn"), "migrate", "--to", last], {}),
            "psql -1 -f": (["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(script), self.on("turn")], quiet),
        }
        if os.access(DIESEL, os.X_OK):
            command = [DIESEL, "migration", "run", "--config-file", "/dev/null", "--migration-dir", str(some)]
            contenders["diesel migration run"] = ([*command, "--database-url", self.on("turn")], {})
        found = self.take_turns(contenders, "template0", max(self.rounds, 9))
        whole = {"optiinfra-dbctl migrate": ([DBCTL, "--quiet", "--database-url", self.on("turn"), "migrate"], {})}
        return {"migrations": len(BEFORE_LEAN), "contenders": found, "all": len(MIGRATIONS),
                "whole": self.take_turns(whole, "template0", max(self.rounds, 9))}

    def seed(self):
        self.create("empty_lean")
        self.dbctl("--database-url", self.on("empty_lean"), "migrate")
        seed = ([DBCTL, "--quiet", "--database-url", self.on("turn"), "seed", "--all"], {})
        first = self.take_turns({"seed --all": seed}, "empty_lean", max(self.rounds, 9))
        self.create("seeded", "empty_lean")
        self.dbctl("--database-url", self.on("seeded"), "seed", "--all")
        return first | self.take_turns({"seed --all, a second time": seed}, "seeded", max(self.rounds, 9))

    def take_turns(self, contenders, template, rounds):
        found = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, (command, more) in contenders.items():
                self.create("turn", template)
                found[name].append(self.timed(command, **more)[0])
        self.drop("turn")
        for name, seconds in found.items():
            out(f"{name}: {statistics.median(seconds) * 1000:.0f} ms")
        return found

    def questions(self):
        figures = [self.questions_at(count, "fleet") for count in levels(self.rows)]
        # The same number of rows in another way: not ten times the fleet, but ten times the history.
        if self.rows > 1_000_000:
            figures.append(self.questions_at(self.rows, "history"))
        return {"levels": figures}

    def questions_at(self, count, growth):
        customers, instances = rows.fleet(count if growth == "fleet" else 1_000_000)
        begin = time.perf_counter()
        self.template("turn", lean=True, customers=customers)
        self.fill("turn", count, customers, instances)
        out(f"questions: {count} rows of {customers} customers and {instances} instances, made in {time.perf_counter() - begin:.0f} s")
        _, _, output = self.timed([QUESTIONS, "200"], env=self.environment("turn"))
        commands = {}
        for name, arguments in {
            "stats": ["stats"], "stats --customer": ["stats", "--customer", "Customer 1"], "stats --exact": ["stats", "--exact"],
            "verify": ["verify"],
        }.items():
            command = [DBCTL, "--quiet", "--database-url", self.on("turn"), *arguments, "--format", "json"]
            took = [self.timed(command) for _ in range(self.rounds)]
            # A check without seed data is skipped too, which says nothing about time.
            skipped = took[0][2].count("took longer than")
            commands[name] = {"seconds": [seconds for seconds, _, _ in took], "skipped": skipped}
            out(f"questions: {count} rows: {name}: {statistics.median(commands[name]['seconds']):.2f} s, {skipped} skipped")
        size = int(self.sql("SELECT pg_total_relation_size('resource_metrics')", database="turn"))
        self.drop("turn")
        return {"rows": count, "growth": growth, "customers": customers, "instances": instances, "bytes": size,
                "questions": json.loads(output), "commands": commands}

    def partitions(self):
        return partitions.measure(self, sys.modules[__name__], out)

    def load(self):
        return load.measure(self, sys.modules[__name__], out)

    def retention(self):
        return retention.measure(self, sys.modules[__name__], out)

    def fill(self, database, count, customers, instances, seconds=10, answers=None):
        """Rows first and indexes then, which takes a third of the time."""
        tables = ("resource_metrics", "quality_metrics")
        listed = ", ".join(f"'{table}'" for table in tables)
        loose = f"SELECT indexrelid FROM pg_index WHERE indrelid::regclass::text IN ({listed}) AND NOT indisunique"
        definitions = self.sql(f"SELECT pg_get_indexdef(indexrelid) FROM ({loose}) AS i", database=database).replace(" ON ONLY ", " ON ").split("\n")
        names = self.sql(f"SELECT string_agg(indexrelid::regclass::text, ', ') FROM ({loose}) AS i", database=database)
        # Rows that the generator made refer to what is there: the check of each is left out.
        self.sql(
            f"DROP INDEX {names}",
            "SET session_replication_role = replica; SET synchronous_commit = off; "
            f"INSERT INTO resource_metrics {rows.samples(count, customers, instances, seconds)}; "
            f"INSERT INTO quality_metrics {rows.answers(answers or count // 5, customers)}; "
            + "; ".join(rows.regressions(count // 1000, customers)),
            *definitions, "VACUUM (ANALYZE)", "CHECKPOINT", database=database,
        )

    # Contenders of `ingest`: functions that write into a database and return seconds and peak memory in KiB.

    def copy(self, files):
        def write(database):
            begin = time.perf_counter()
            commands = [["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"\\copy resource_metrics FROM '{file}' CSV",
                         self.on(database)] for file in files]
            running = [subprocess.Popen(command) for command in commands]
            peaks = [0] * len(running)
            while any(process.poll() is None for process in running):
                peaks = [max(peak, peak_of(process.pid)) for peak, process in zip(peaks, running)]
                time.sleep(0.005)
            seconds = time.perf_counter() - begin
            if any(process.returncode for process in running):
                sys.exit("psql failed")
            return seconds, sum(peaks)
        return write

    def bulk_load(self, count, ids, connections, *more):
        def write(database):
            seconds, _, output = self.timed([*bulk_command(count, ids, connections), *more], env=self.environment(database))
            return seconds, json.loads(output)["peak_memory_kib"]
        return write

    def add_all(self, file, how):
        def write(database):
            command = [sys.executable, ADD_ALL, self.on(database), str(file), str(FEW), how]
            _, peak, output = self.timed(command)
            # Starting Python and reading the file is not the writing's fault.
            return float(output), peak
        return write

    def environment(self, database):
        return os.environ | {"DATABASE_URL": self.on(database)}


def indexes_of(plan):
    """The indexes in a plan and what is below it."""
    yield from [plan["Index Name"]] if "Index Name" in plan else []
    for part in plan.get("Plans", []):
        yield from indexes_of(part)


def bulk_command(count, ids, connections):
    return [BULK_LOAD, "--rows", str(count), "--ids", ids, "--connections", str(connections)]


def levels(most):
    return [level for level in (10_000, 100_000, 1_000_000, 10_000_000) if level < most] + [most]


def split(file, directory):
    """Two files with half of the lines each."""
    size = file.stat().st_size
    halves = [directory / "half-1.csv", directory / "half-2.csv"]
    with open(file, "rb") as whole, open(halves[0], "wb") as first, open(halves[1], "wb") as second:
        shutil.copyfileobj(Limited(whole, size // 2), first)
        first.write(whole.readline())
        shutil.copyfileobj(whole, second)
    return halves


class Limited:
    """The first bytes of a file."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def read(self, size):
        found = self.file.read(min(size, self.left))
        self.left -= len(found)
        return found


def peak_of(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) if found else 0


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def out(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine(bench):
    cpu = "unknown"
    if Path("/proc/cpuinfo").exists():
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = cpu[1] if cpu else "unknown"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    return {
        "cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30), "system": f"{os.uname().sysname} {os.uname().machine}",
        "postgresql": bench.sql("SHOW server_version").split()[0], "rust": version.split()[1] if version else "unknown",
        "python": sys.version.split()[0], "settings": SETTINGS,
    }


SECTIONS = ("ingest", "memory", "indexes", "tenancy", "migrate", "seed", "questions", "partitions", "load", "retention")


def main():
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures and writes docs/benchmarks.{md,json,svg}.")
    parser.add_argument("rows", nargs="?", type=int, default=200_000, metavar="ROWS", help="rows of the largest table (200000)")
    parser.add_argument("--only", metavar="SECTION,..", help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds, of which the median counts (3)")
    parser.add_argument("--out", default=str(ROOT / "docs"), metavar="DIR", help="where the results go (docs)")
    parser.add_argument("--scratch", default="/tmp", metavar="DIR", help="where the cluster and the rows lie meanwhile (/tmp)")
    parser.add_argument("--first", action="store_true", help="measure partitions before all other work of the machine (root)")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else SECTIONS
    if unknown := [name for name in wanted if name not in SECTIONS]:
        parser.error(f"no section is called {unknown[0]}: there are {', '.join(SECTIONS)}")
    if options.rows < 10_000:
        parser.error("fewer than 10000 rows say nothing")

    results = Path(options.out) / "benchmarks.json"
    known = json.loads(results.read_text()) if results.exists() else {}
    # Ctrl-C is an exception already; the others become one, so that the cluster goes in any case.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    bench = Bench(options)
    try:
        bench.start()
        here = machine(bench)
        for name in wanted:
            begin = time.perf_counter()
            figures = getattr(bench, name)()
            known[name] = {"measured": time.strftime("%Y-%m-%d"), "machine": here, "rounds": options.rounds, **figures}
            Path(options.out).mkdir(parents=True, exist_ok=True)
            results.write_text(json.dumps(known, indent=1) + "\n")
            report.write(known, Path(options.out))
            out(f"section {name} took {time.perf_counter() - begin:.0f} s")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # A second Ctrl-C must not stop this.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        bench.stop()


main()
