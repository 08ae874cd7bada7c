#!/usr/bin/env python3
"""Writes the files here that Python tools write: pip install pandas pyarrow duckdb prometheus-client openpyxl

The others are by hand, after the documentation of DCGM exporter, Prometheus, nvidia-smi and CloudWatch. excel.csv was
converted from excel.xlsx by LibreOffice, with semicolons and a German locale:

    soffice --headless --convert-to 'csv:Text - txt - csv (StarCalc):59,34,76,1,,1031,false,true' excel.xlsx
"""

import datetime as dt
import json

import duckdb
import openpyxl
import pandas as pd
import prometheus_client as prom
from prometheus_client.openmetrics.exposition import generate_latest

NOON = pd.Timestamp("2025-10-20 12:00:00", tz="UTC")
QUALITY = {
    "request_id": ["a", "b", "c"],
    "model_name": ["llama"] * 3,
    "model_version": ["1"] * 3,
    "prompt_tokens": [12, None, 7],
    "latency_ms": [101.5, None, 99.25],
    "hallucination_detected": [False, True, False],
    "overall_quality_score": [0.5, 0.25, 1.0],
    "timestamp": [NOON, NOON + pd.Timedelta("1.5s"), NOON + pd.Timedelta("2.000001s")],
    "metadata": [json.dumps({"region": "eu"}), "{}", "{}"],
}

frame = pd.DataFrame(QUALITY)
frame.to_csv("pandas.csv")
frame.to_csv("pandas.tsv.gz", sep="\t", index=False, na_rep="NaN", compression={"method": "gzip", "mtime": 0})
frame.set_index(pd.Index([10, 20, 30])).to_parquet("pandas.parquet")

duckdb.register("frame", frame.astype({"prompt_tokens": "Int32"}))
select = "SELECT uuid() AS id, * REPLACE (timestamp::TIMESTAMPTZ AS timestamp, metadata::JSON AS metadata) FROM frame"
duckdb.execute("SET TimeZone = 'UTC'")
duckdb.execute(f"COPY ({select}) TO 'duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)")
duckdb.execute("COPY (SELECT * FROM frame) TO 'duckdb.csv.zst' (HEADER, COMPRESSION zstd)")

registry = prom.CollectorRegistry()
load = prom.Gauge("node_load1", "1m load average.", ["instance"], registry=registry)
load.labels("10.0.0.12:9100").set(0.72)
received = prom.Counter("node_network_receive_bytes", "Bytes.", ["instance", "device"], registry=registry)
received.labels("10.0.0.12:9100", 'et"h\\0').inc(1024, {"trace_id": "abc"})
with open("openmetrics.prom", "wb") as file:
    file.write(generate_latest(registry))

book = openpyxl.Workbook()
sheet = book.active
sheet.append(["instance_id", "metric_value", "timestamp", "metadata"])
sheet.append(["i-1", 12.5, dt.datetime(2025, 10, 20, 14, 0), None])
sheet.append(["größe; \"2\"", 0.25, dt.datetime(2025, 10, 20, 14, 1), None])
for cell in sheet["B"][1:]:
    cell.number_format = "[$-407]0.00"
for cell in sheet["C"][1:]:
    cell.number_format = "DD.MM.YYYY HH:MM"
book.save("excel.xlsx")
