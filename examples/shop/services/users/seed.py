"""The first customers, for a database that is new."""

import os

import psycopg

FIRST = [("Lin Wei", "lin@example.com"), ("Ada Byron", "ada@example.com"), ("Omar Said", "omar@example.com")]

with psycopg.connect(os.environ["USERS_DB_URL"]) as database:
    database.cursor().executemany("INSERT INTO users (name, email) VALUES (%s, %s)", FIRST)
    print(f"{len(FIRST)} users")
