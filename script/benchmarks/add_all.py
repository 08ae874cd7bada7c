"""Writes samples as the platform's Python services do: SQLAlchemy objects, add_all, commit.

    add_all.py URL FILE ROWS orm|batched

`batched` is the same rows by INSERT statements of a thousand rows each, which needs no ORM. Rows of a thousand are one
transaction in both. Prints the seconds that the writing took; reading the file is not part of it.
"""

import csv
import sys
import time
from datetime import datetime
from uuid import UUID

import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import Column, DateTime, Enum, Float, ForeignKey, String, create_engine
from sqlalchemy.dialects.postgresql import JSONB, UUID as Uuid
from sqlalchemy.orm import Session, declarative_base

BATCH = 1000
COLUMNS = ("id", "agent_id", "customer_id", "instance_id", "resource_type", "metric_name", "metric_value", "unit",
           "timestamp", "metadata", "created_at")

Base = declarative_base()


class Customer(Base):
    __tablename__ = "customers"
    id = Column(Uuid(as_uuid=True), primary_key=True)


class Agent(Base):
    __tablename__ = "agents"
    id = Column(Uuid(as_uuid=True), primary_key=True)


class ResourceMetric(Base):
    __tablename__ = "resource_metrics"
    id = Column(Uuid(as_uuid=True), primary_key=True)
    agent_id = Column(Uuid(as_uuid=True), ForeignKey("agents.id"), nullable=False)
    customer_id = Column(Uuid(as_uuid=True), ForeignKey("customers.id"), nullable=False)
    instance_id = Column(String(255), nullable=False)
    resource_type = Column(Enum("gpu", "cpu", "memory", "disk", "network", name="resource_type"), nullable=False)
    metric_name = Column(String(100), nullable=False)
    metric_value = Column(Float, nullable=False)
    unit = Column(String(50), nullable=False)
    timestamp = Column(DateTime(timezone=True), nullable=False)
    metric_metadata = Column("metadata", JSONB, nullable=False, default=dict)
    created_at = Column(DateTime(timezone=True))


def sample(line):
    one, agent, customer, instance, kind, name, value, unit, at, _, created = line
    return {
        "id": UUID(one), "agent_id": UUID(agent), "customer_id": UUID(customer), "instance_id": instance,
        "resource_type": kind, "metric_name": name, "metric_value": float(value), "unit": unit,
        "timestamp": datetime.fromisoformat(at), "created_at": datetime.fromisoformat(created),
    }


def orm(engine, samples):
    for start in range(0, len(samples), BATCH):
        with Session(engine) as session:
            session.add_all([ResourceMetric(metric_metadata={}, **one) for one in samples[start:start + BATCH]])
            session.commit()


def batched(engine, lines):
    connection = engine.raw_connection()
    insert = f"INSERT INTO resource_metrics ({', '.join(COLUMNS)}) VALUES %s"
    template = "(%s::uuid, %s::uuid, %s::uuid, %s, %s::resource_type, %s, %s::float8, %s, %s::timestamptz, %s, %s::timestamptz)"
    for start in range(0, len(lines), BATCH):
        with connection.cursor() as cursor:
            execute_values(cursor, insert, lines[start:start + BATCH], template, page_size=BATCH)
        connection.commit()


def main():
    url, path, rows, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    with open(path, newline="") as file:
        lines = [line for line, _ in zip(csv.reader(file), range(rows))]
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    write = {"orm": lambda: orm(engine, samples), "batched": lambda: batched(engine, lines)}[how]
    samples = [sample(line) for line in lines] if how == "orm" else None
    engine.connect().close()
    begin = time.perf_counter()
    write()
    print(time.perf_counter() - begin)


main()
