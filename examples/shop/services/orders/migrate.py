"""Runs those files of migrations/ that did not run yet, in the order of their names: all of them, or none."""

import os
from pathlib import Path

import psycopg

with psycopg.connect(os.environ["ORDERS_DB_URL"]) as database:
    database.execute("CREATE TABLE IF NOT EXISTS migrations (file text PRIMARY KEY, at timestamptz DEFAULT now())")
    ran = {file for (file,) in database.execute("SELECT file FROM migrations")}
    for file in sorted(Path("migrations").glob("*.sql")):
        if file.name not in ran:
            database.execute(file.read_bytes())
            database.execute("INSERT INTO migrations (file) VALUES (%s)", [file.name])
            print("ran", file)
