"""Writes benchmarks.md and benchmarks.svg from the figures of run.py. Measures nothing."""

from statistics import median
from xml.sax.saxutils import escape

import load
import retention

SCHEMAS = {"bare": "none, no keys", "deployed": "as deployed", "lean": "lean"}


def write(known, folder):
    parts = [
        HEAD, machines(known), *(PARTS[name](known[name]) for name in PARTS if name in known),
        "The raw figures are in [benchmarks.json](benchmarks.json).\n",
    ]
    (folder / "benchmarks.md").write_text("\n".join(part for part in parts if part))
    if "ingest" in known:
        (folder / "benchmarks.svg").write_text(chart(known["ingest"]))


HEAD = """# Benchmarks

Written by `script/bench`, which takes half an hour, or some hours and 15 GB of disk for tables of 10 million rows
(`script/bench 10000000`). What counts are the ratios: each contender of a table had its turn in every round, on the same
server, and the medians are compared.
"""


def machines(known):
    lines = []
    for name, section in known.items():
        here, settings = section["machine"], ", ".join(f"{key} {value}" for key, value in section["machine"]["settings"].items())
        lines.append((
            f"{here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['system']}; PostgreSQL {here['postgresql']} with {settings}, "
            f"fsync on, over a Unix socket; release build by Rust {here['rust']}; Python {here['python']}", name, section["measured"],
        ))
    text = []
    for machine in dict.fromkeys(machine for machine, _, _ in lines):
        sections = ", ".join(f"{name} ({day})" for found, name, day in lines if found == machine)
        text.append(f"Measured on {machine}. Sections: {sections}.\n")
    return "\n".join(text)


def table(headers, rows):
    cells = [headers, ["---" if place == 0 else "---:" for place in range(len(headers))], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in cells) + "\n"


def rate(contender):
    return median(contender["rows_per_second"])


def spread(values, scale=1.0, digits=0):
    return f"{min(values) * scale:.{digits}f} to {max(values) * scale:.{digits}f}"


def milliseconds(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def thousands(number):
    return f"{number:,.0f}".replace(",", " ")


def rounds(count):
    return "1 round" if count == 1 else f"{count} rounds"


def pick(contenders, name, schema, ids, connections=1):
    return next(c for c in contenders if (c["name"], c["schema"], c["ids"], c["connections"]) == (name, schema, ids, connections))


def ingest(section):
    all_ = section["contenders"]
    plain = rate(pick(all_, "psql \\copy", "lean", "v7"))
    one, two = (rate(pick(all_, "BulkWriter", "lean", "v7", connections)) for connections in (1, 2))
    rows = [
        [c["name"].replace("\\", "\\\\"), SCHEMAS[c["schema"]], c["ids"], c["connections"], thousands(c["rows"]), thousands(rate(c)),
         spread(c["rows_per_second"], 1e-3, 1), f"{rate(c) / plain:.2f}", f"{c['peak_kib'] / 1024:.0f}"]
        for c in all_
    ]
    aims = [
        ["one connection / psql \\\\copy, same rows, same lean table", f"{one / plain:.2f}", "1.0"],
        ["two connections / one", f"{two / one:.2f}", "1.4"],
        ["one connection / psql \\\\copy into the deployed indexes with UUIDv4", ratio(one, all_, "psql \\copy"), ""],
        ["two connections / the same", ratio(two, all_, "psql \\copy"), "2.2"],
        ["one connection / SQLAlchemy add_all as the platform does today", ratio(one, all_, "SQLAlchemy add_all"), "20"],
        ["two connections / the same", ratio(two, all_, "SQLAlchemy add_all"), ""],
    ]
    return f"""## Writing

{thousands(section['rows'])} rows of `resource_metrics` into a fresh database, {rounds(section['rounds'])}; contenders that would take too long write fewer,
and their rate is compared. "As deployed" has the platform's twelve indexes, "lean" what `lean_hot_indexes` leaves. The first line is
what PostgreSQL takes without any index or key: no contender that leaves a usable table behind can reach it.
`BulkWriter` is `examples/bulk_load.rs`, its time and memory are those of the whole process, making the rows included; psql reads the same
rows from a file. The rows of `INSERT` and SQLAlchemy are in memory before the clock starts. Ratios are to `psql \\copy` into lean indexes with UUIDv7.

![rows a second](benchmarks.svg)

{table(['contender', 'indexes', 'ids', 'connections', 'rows', 'rows/s', 'thousands, all rounds', 'ratio', 'peak MiB'], rows)}
{table(['ratio', 'measured', 'aim'], aims)}"""


def ratio(value, contenders, name):
    return f"{value / rate(pick(contenders, name, 'deployed', 'v4')):.2f}"


def memory(section):
    rows = [[thousands(level["rows"]), f"{level['peak_kib'] / 1024:.1f}", thousands(level["rows_per_second"])] for level in section["levels"]]
    return f"""### Memory

`BulkWriter` with {section['connections']} connections; the aim is under 64 MiB at 10 million rows.

{table(['rows', 'peak MiB', 'rows/s'], rows)}"""


def indexes(section):
    text = ["""## Indexes

What each choice costs a writer (`psql \\copy` of the same rows, ids of version 7; the processor time is the server's) and gains a
reader (milliseconds and blocks, the quickest of three, everything in memory). Twenty customers, a thousand instances; one customer stopped
reporting half-way. Chosen is what pays: a reader's gain without bound for a writer's cost of a few percent. What the indexes of each
type gain is to be seen under row security, below.
"""]
    for name, count in section["rows"].items():
        variants = [v for v in section["variants"] if v["table"] == name]
        questions = list(variants[0]["reads"])
        rows = []
        for v in variants:
            cpu = median(v["cpu"]) if v["cpu"][0] is not None else None
            reads = [f"{v['reads'][q][0]:.2f} ms, {v['reads'][q][1]}" for q in questions]
            label = f"**{v['name']}**" if v["why"] == "chosen" else v["name"]
            rows.append([label, f"{median(v['seconds']):.1f} s", f"{cpu:.1f} s" if cpu else "", f"{median(v['wal_bytes']) / 1e6:.0f}",
                         f"{v['size'] / 1e6:.0f}", *reads])
        text += [f"`{name}`, {thousands(count)} rows:\n", table(["indexes", "writing", "processor", "WAL MB", "size MB", *questions], rows)]
    text.append(VERDICT)
    return "\n".join(text)


VERDICT = """Not chosen:

- `metric_name` before `timestamp`: no question needs more than the type, and the entries are twice as long.
- `(resource_type, metric_name, timestamp)`: the newest sample of a metric is found among the newest of all; only a metric that
  nobody sends any more gains.
- `(customer_id, instance_id, timestamp)`: an instance belongs to one customer, so the shorter index finds the same rows.
- BRIN on `timestamp`: smaller, but the newest row and the newest of a metric have no order to go by.
"""


def tenancy(section):
    rows = []
    for name, found in section["questions"].items():
        here = {database: {way: median(figures[way]) for way in ("filter", "policy")} for database, figures in found.items()}
        ratios = {database: f"{times['policy'] / times['filter']:.2f}" for database, times in here.items()}
        indexes = ", ".join(f"`{index}`" for index in found["migrated"]["indexes"])
        rows.append([name, f"{here['migrated']['filter']:.2f} ms", f"{here['migrated']['policy']:.2f} ms", ratios["migrated"],
                     f"{here['without']['policy']:.2f} ms", indexes])
    return f"""## Row security

A customer's questions to {thousands(section['rows'])} samples of {section['customers']} customers: as the owner with a filter on `customer_id`, and as
`optiinfra_app` without one, where the policy does what the filter does. The server's execution times, {rounds(section['rounds'])}; the aim
is a ratio of at most 1.5. "Without" is the policy's time without the indexes of `resource_type_indexes`.

{table(['question', 'filter', 'policy', 'ratio', 'without', 'index under the policy'], rows)}
An index on `(customer_id, timestamp)` was tried too, and the planner did not take it: at its default `random_page_cost` it prefers the
index on `timestamp`, whose rows lie side by side.
"""


def commands(section):
    found = section["contenders"]
    ours = median(found["optiinfra-dbctl migrate"])
    rows = [[f"`{name}`", f"{median(s) * 1000:.0f} ms", spread(s, 1000), f"{ours / median(s):.2f}"] for name, s in found.items()]
    whole = section["whole"]["optiinfra-dbctl migrate"]
    return f"""## Migrating

The first {section['migrations']} migrations on an empty database, whole processes, {rounds(len(whole))}. They are those that all contenders can run: what
is built CONCURRENTLY cannot be part of one transaction, which is how `psql -1` and diesel_cli send a file.

{table(['contender', 'median', 'all rounds', 'ours / it'], rows)}
All {section['all']} migrations by `optiinfra-dbctl migrate`: {median(whole) * 1000:.0f} ms.
"""


def seed(section):
    names = [name for name in section if name.startswith("seed")]
    rows = [[f"`{name.split(',')[0]}`{name[len(name.split(',')[0]):]}", f"{median(section[name]) * 1000:.0f} ms", spread(section[name], 1000)] for name in names]
    return f"## Seeding\n\n{table(['command', 'median', 'all rounds'], rows)}"


def questions(section):
    fleet = [level for level in section["levels"] if level["growth"] == "fleet"]
    history = [level for level in section["levels"] if level["growth"] == "history"]
    base = next((level for level in fleet if level["rows"] == 1_000_000), fleet[0])
    top = fleet[-1]
    compared = top is not base
    headers = ["question", *(thousands(level["rows"]) for level in fleet)]
    headers += [f"{thousands(top['rows'])} / {thousands(base['rows'])}"] if compared else []
    for level in history:
        headers += [f"{thousands(level['rows'])}, longer history", "ratio"]
    rows = []
    for name in fleet[0]["questions"]:
        time = lambda level: level["questions"][name]["median_us"]
        row = [name, *(f"{time(level) / 1000:.2f} ms" for level in fleet)]
        row += [f"{time(top) / time(base):.2f}"] if compared else []
        for level in history:
            row += [f"{time(level) / 1000:.2f} ms", f"{time(level) / time(base):.2f}"]
        rows.append(row)
    whole = []
    for name in fleet[0]["commands"]:
        row = [f"`{name}`"]
        for level in [*fleet, *history]:
            found = level["commands"][name]
            skipped = f", {found['skipped']} over the limit" if found["skipped"] else ""
            row.append(milliseconds(median(found["seconds"])) + skipped)
        whole.append(row)
    columns = [thousands(level["rows"]) for level in fleet] + [f"{thousands(level['rows'])}, longer history" for level in history]
    sizes = ", ".join(f"{thousands(level['rows'])}: {level['customers']} customers, {level['instances']} instances, {level['bytes'] / 1e9:.2f} GB" for level in fleet)
    return f"""## Questions

The library's functions, by `examples/questions.rs`: the median of 200 calls, each for another customer and instance. The columns are rows of
`resource_metrics`; `quality_metrics` has a fifth as many. The fleet grows with the rows ({sizes}); "longer history" is the fleet of a
million rows with more samples of each instance. The aim is at most 1.5 from one to ten million rows.

{table(headers, rows)}
An average over all samples of an instance reads all of them, so it grows with the history, and with nothing else.

Whole processes, {rounds(section['rounds'])}; what is skipped took longer than its limit of 5 s, and says so. `stats` sums up the newest 250 000 samples
and answers; `--exact` reads them all. `verify` looks for impossible values in every row. The page's bands of percentiles came later:
with them, `stats` of 945 000 samples of 768 instances takes 258 ms (256 to 305, 11 rounds, 27 November 2026).

{table(['command', *columns], whole)}"""


def partitions(section):
    levels = section["levels"]
    first, last = levels[0], levels[-1]
    at = lambda level, shape, ids: median(level["shapes"][shape]["rows_per_second"][ids])
    writing, sizes = [], []
    for level in levels:
        for ids in ("v4", "v7"):
            plain, weeks = at(level, "plain", ids), at(level, "weeks", ids)
            writing.append([thousands(level["rows"]), ids, thousands(plain), thousands(weeks), f"{weeks / plain:.2f}",
                            f"{plain / at(first, 'plain', ids):.2f}", f"{weeks / at(first, 'weeks', ids):.2f}"])
        bytes_of = lambda shape, kind: f"{level['shapes'][shape][kind] / 1e9:.2f} GB"
        sizes.append([thousands(level["rows"]), *(bytes_of(shape, kind) for shape in ("plain", "weeks") for kind in ("bytes", "index_bytes"))])
    questions = []
    for name in first["shapes"]["plain"]["questions"]:
        row = [name]
        for level in levels:
            plain, weeks = (level["shapes"][shape]["questions"][name]["median_us"] / 1000 for shape in ("plain", "weeks"))
            row += [f"{plain:.2f} ms", f"{weeks:.2f} ms"]
        questions.append(row)
    changes = [[f"`partitions {change['verb']}`", f"{change['seconds']:.1f} s", thousands(sum(work["count"] for work in change["work"].values())), change["failed"],
                *(f"{work['longest_ms']:.0f} ms" for work in change["work"].values())] for change in section["changes"]]
    columns = [f"{thousands(level['rows'])}, {shape}" for level in levels for shape in ("plain", "weeks")]
    return f"""## Partitions

`resource_metrics` plain, and in weekly partitions as it is where the table is old; more rows are more history of the same fleet. Live
writing is `\\copy` of {thousands(section['live'])} samples of the last minute, {rounds(section['rounds'])} in turn; "of the first" is the rate against that at
{thousands(first['rows'])} rows. The aims are 1.0 and 0.9.

{table(['rows', 'ids', 'plain, rows/s', 'weeks, rows/s', 'weeks / plain', 'plain, of the first', 'weeks, of the first'], writing)}
{table(['rows', 'plain', 'of that indexes', 'weeks', 'of that indexes'], sizes)}
The questions as above, the median of 200 calls:

{table(['question', *columns], questions)}
Changing the shape of {thousands(section['change_rows'])} rows beside pgbench with three connections, and the longest of each statement meanwhile,
waiting for the disk included. {section.get('note', '')}
{'Count and hash of the rows that were there before are the same.' if all(change['same_rows'] for change in section['changes']) else 'THE ROWS DIFFER.'}

{table(['command', 'took', 'transactions', 'failed', *section['changes'][0]['work']], changes)}"""


PARTS = {"ingest": ingest, "memory": memory, "indexes": indexes, "tenancy": tenancy, "migrate": commands, "seed": seed, "questions": questions, "partitions": partitions}


PARTS["load"] = lambda section: load.report(section, table, thousands)
PARTS["retention"] = lambda section: retention.report(section, table, thousands)


def chart(section):
    """Bars of rows a second, the longest first in the order of the table."""
    bars = section["contenders"]
    most = max(rate(c) for c in bars)
    height, left, width = 24, 330, 420
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {len(bars) * height + 40}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="10" y="20" font-weight="bold">Rows of resource_metrics written a second</text>',
    ]
    for place, c in enumerate(bars):
        y = 32 + place * height
        label = f"{c['name']}, {SCHEMAS[c['schema']]}, UUID{c['ids']}" + (f", {c['connections']} connections" if c["connections"] > 1 else "")
        length = max(2, rate(c) / most * width)
        colour = "#2f6f9f" if c["name"].startswith("BulkWriter") else "#9aa5ad"
        lines.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(label)}</text>')
        lines.append(f'<rect x="{left}" y="{y + 3}" width="{length:.0f}" height="{height - 7}" fill="{colour}"/>')
        lines.append(f'<text x="{left + length + 6:.0f}" y="{y + 16}">{thousands(rate(c))}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
