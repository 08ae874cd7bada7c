"""The rows that run.py measures with, as SQL: a fleet's samples and answers, in the order of their time.

Customer k owns the instances k, k + C, k + 2C and so on. Each instance sends the twelve metrics every ten seconds, the
newest now. The last customer stopped half-way.
"""

AGENT = "INSERT INTO agents (id, type, name, status) VALUES ('a0000000-0000-0000-0000-000000000001', 'resource', 'bench', 'healthy')"

KINDS = (
    ("gpu", "utilization", "percent"), ("gpu", "memory_used", "GB"), ("gpu", "temperature", "celsius"),
    ("cpu", "utilization", "percent"), ("cpu", "load", "percent"), ("memory", "used", "GB"),
    ("memory", "utilization", "percent"), ("disk", "used", "GB"), ("disk", "read_iops", "iops"),
    ("disk", "write_iops", "iops"), ("network", "throughput_in", "Mbps"), ("network", "throughput_out", "Mbps"),
)

# Samples of an instance when the fleet grows with the rows.
HISTORY = 1000


def fleet(rows):
    """Customers and instances for so many rows: 20 and 1000 for a million."""
    instances = max(10, rows // HISTORY)
    return max(2, instances // 50), instances


def customers(count):
    return (
        "INSERT INTO customers (id, name, email, api_key) "
        f"SELECT {customer('n - 1')}, 'Customer ' || n, 'c' || n || '@example.com', 'key-' || n FROM generate_series(1, {count}) AS n"
    )


def customer(number):
    return f"('c0000000-0000-0000-0000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def id_of(time):
    """A UUIDv7 of a time."""
    milliseconds = f"lpad(to_hex((extract(epoch FROM {time}) * 1000)::bigint), 12, '0')"
    return f"overlay(overlay(md5(n::text) PLACING {milliseconds} FROM 1) PLACING '7' FROM 13)::uuid"


def array(place):
    return "ARRAY[" + ", ".join(f"'{kind[place]}'" for kind in KINDS) + "]"


def samples(count, owners, instances, seconds=10):
    kinds = len(KINDS)
    ticks = count // (instances * kinds)
    time = f"date_trunc('second', now()) - interval '{seconds} s' * ({ticks} - n / {instances * kinds}) + interval '1 us' * (n % {instances * kinds})"
    return (
        f"SELECT {id_of('t')} AS id, 'a0000000-0000-0000-0000-000000000001'::uuid AS agent_id, "
        f"{customer(f'n / {kinds} % {instances} % {owners}')} AS customer_id, "
        f"'i-' || lpad((n / {kinds} % {instances})::text, 8, '0') AS instance_id, "
        f"({array(0)})[1 + n % {kinds}]::resource_type AS resource_type, ({array(1)})[1 + n % {kinds}] AS metric_name, "
        f"round((random() * 100)::numeric, 2)::float8 AS metric_value, ({array(2)})[1 + n % {kinds}] AS unit, "
        f"t AS \"timestamp\", '{{}}'::jsonb AS metadata, t AS created_at "
        f"FROM generate_series(0, {count} - 1) AS n CROSS JOIN LATERAL (SELECT {time}) AS time (t) "
        f"WHERE NOT (n > {count} / 2 AND n / {kinds} % {instances} % {owners} = {owners} - 1)"
    )


def answers(count, owners):
    time = f"now() - interval '1 s' * ({count} - n)"
    return (
        f"SELECT {id_of('t')}, 'a0000000-0000-0000-0000-000000000001'::uuid, {customer(f'n % {owners}')}, 'request-' || n, "
        f"(ARRAY['gpt-4', 'claude-3-opus', 'llama-3-70b', 'gpt-3.5-turbo'])[1 + n / {owners} % 4], '1.0', 512, 256, "
        "random() * 1000, random(), random(), random(), random() < 0.04, random() * 0.1, random(), t, '{}'::jsonb, t "
        f"FROM generate_series(1, {count}) AS n CROSS JOIN LATERAL (SELECT {time}) AS time (t) "
        f"WHERE NOT (n > {count} / 2 AND n % {owners} = {owners} - 1)"
    )


def regressions(count, owners):
    """A baseline of each customer, so many regressions that are resolved, and fifty that are open."""
    agent = "'a0000000-0000-0000-0000-000000000001'::uuid"
    return (
        "INSERT INTO quality_baselines (agent_id, customer_id, model_name, model_version, baseline_type, sample_size, avg_overall_score, established_at) "
        f"SELECT {agent}, id, 'gpt-4', '1.0', 'initial', 100, 0.9, now() - interval '30 days' FROM customers",
        "INSERT INTO quality_regressions (agent_id, customer_id, baseline_id, regression_type, severity, detected_at, metric_name, baseline_value, "
        "current_value, delta_percent, sample_size, action_taken, resolved_at) "
        f"SELECT {agent}, b.customer_id, b.id, 'quality_drop', 'high', t, 'overall_quality_score', 0.9, 0.8, -11, 50, 'alert_only', "
        "CASE WHEN n > 50 THEN t + interval '5 minutes' END "
        f"FROM generate_series(1, {count} + 50) AS n CROSS JOIN LATERAL (SELECT now() - interval '1 minute' * n - interval '10 minutes') AS time (t) "
        f"JOIN quality_baselines AS b ON b.customer_id = {customer(f'n % {owners}')}",
    )


RESOURCE = "ix_resource_metrics_"
QUALITY = "ix_quality_metrics_"


def instead(new, definition, old, table):
    return [f"DROP INDEX IF EXISTS {old}", f"CREATE INDEX {new} ON {table} {definition}"]


def only_dropped(extra=()):
    """The migration without its replacements, and what is tried instead."""
    return [
        *instead(f"{RESOURCE}customer_type", "(customer_id, resource_type)", f"{RESOURCE}customer_type_timestamp", "resource_metrics"),
        *extra,
    ]


# The table without an index or a key: what a row costs before anything is checked or found again.
BARE = ("CREATE TABLE bare (LIKE resource_metrics INCLUDING DEFAULTS)", "DROP TABLE resource_metrics", "ALTER TABLE bare RENAME TO resource_metrics")

TYPES = dict.fromkeys(kind for kind, _, _ in KINDS)
TYPES_DROPPED = [f"DROP INDEX {RESOURCE}customer_{kind}_timestamp" for kind in TYPES]

# Name, schema to begin with, what is changed, and why it is there.
VARIANTS = (
    ("as deployed, 12 indexes", "deployed", [], "the platform's schema, with UUIDv7"),
    ("five redundant ones dropped", "lean", [*TYPES_DROPPED, *only_dropped()], ""),
    ("and (customer_id, resource_type, timestamp)", "lean", TYPES_DROPPED, ""),
    ("lean: and (customer_id, timestamp) of each type", "lean", [], "chosen"),
    ("lean, with metric_name before timestamp", "lean",
     instead("i", '(customer_id, resource_type, metric_name, "timestamp")', f"{RESOURCE}customer_type_timestamp", "resource_metrics"), ""),
    ("lean and (resource_type, metric_name, timestamp)", "lean",
     instead("i", '(resource_type, metric_name, "timestamp")', f"{RESOURCE}type_name", "resource_metrics"), ""),
    ("lean and (customer_id, instance_id, timestamp)", "lean",
     instead("i", '(customer_id, instance_id, "timestamp")', f"{RESOURCE}instance_timestamp", "resource_metrics"), ""),
    ("lean and BRIN (timestamp)", "lean", instead("i", 'USING brin ("timestamp")', f"{RESOURCE}timestamp", "resource_metrics"), ""),
)

MODEL = instead(f"{QUALITY}customer_model", "(customer_id, model_name)", f"{QUALITY}customer_model_timestamp", "quality_metrics")
BOOLEAN = instead(f"{QUALITY}hallucination_detected", "(hallucination_detected)", f"{QUALITY}customer_hallucination", "quality_metrics")

QUALITY_VARIANTS = (
    ("as deployed, 13 indexes", "deployed", [], "the platform's schema, with UUIDv7"),
    ("five redundant ones dropped", "lean", BOOLEAN + MODEL, ""),
    ("and (customer_id, timestamp) WHERE hallucination_detected", "lean", MODEL, ""),
    ("lean: and (customer_id, model_name, timestamp)", "lean", [], "chosen"),
)

ONE, LAST = customer("0"), customer("19")
NEWEST = 'ORDER BY "timestamp" DESC, id DESC LIMIT'
GPU = "resource_type = 'gpu' AND metric_name = 'utilization'"

READS = {
    "resource_metrics": {
        "newest of a metric": f"SELECT * FROM resource_metrics WHERE {GPU} {NEWEST} 1",
        "newest of a customer": f"SELECT * FROM resource_metrics WHERE customer_id = {ONE} AND {GPU} {NEWEST} 1",
        "newest of a customer who stopped": f"SELECT * FROM resource_metrics WHERE customer_id = {LAST} AND {GPU} {NEWEST} 1",
        "range of an instance": "SELECT * FROM resource_metrics WHERE instance_id = 'i-00000000' "
                                f"AND customer_id = {ONE} AND \"timestamp\" >= now() - interval '10 minutes' ORDER BY \"timestamp\", id",
        "newest of all": 'SELECT max("timestamp") FROM resource_metrics',
    },
    "quality_metrics": {
        "a customer's hallucinations": f"SELECT * FROM quality_metrics WHERE customer_id = {ONE} AND hallucination_detected {NEWEST} 20",
        "newest of a model": f"SELECT * FROM quality_metrics WHERE model_name = 'gpt-4' {NEWEST} 1",
        "newest of a model, one customer": f"SELECT * FROM quality_metrics WHERE customer_id = {ONE} AND model_name = 'gpt-4' {NEWEST} 1",
        "the same of one who stopped": f"SELECT * FROM quality_metrics WHERE customer_id = {LAST} AND model_name = 'gpt-4' {NEWEST} 1",
    },
}

# As migrated, and without the indexes of the resource types.
TENANTS_DATABASES = ("migrated", "without")

# What a customer asks, with room for a filter on the customer, and which one asks: the last stopped reporting.
TENANTS_QUESTIONS = {
    "number of samples": ("SELECT count(*) FROM resource_metrics WHERE {}", 0),
    "average of each instance": ("SELECT instance_id, avg(metric_value) FROM resource_metrics WHERE {} GROUP BY instance_id", 0),
    "ten minutes of an instance": (
        "SELECT * FROM resource_metrics WHERE {} AND instance_id = 'i-00000000' "
        "AND \"timestamp\" >= now() - interval '10 minutes' ORDER BY \"timestamp\", id", 0),
    "newest sample of a metric": (f"SELECT * FROM resource_metrics WHERE {{}} AND {GPU} {NEWEST} 1", 0),
    "newest sample of a customer who stopped": (f"SELECT * FROM resource_metrics WHERE {{}} AND {GPU} {NEWEST} 1", -1),
    "average of a resource type over a minute": (
        "SELECT avg(metric_value) FROM resource_metrics WHERE {} AND resource_type = 'gpu' "
        "AND \"timestamp\" >= now() - interval '1 minute'", 0),
    "newest hallucinations, a page": (f"SELECT * FROM quality_metrics WHERE {{}} AND hallucination_detected {NEWEST} 20", 0),
}


def as_application(number):
    return ["SET ROLE optiinfra_app", f"SET app.customer_id = 'c0000000-0000-0000-0000-{number:012x}'"]
