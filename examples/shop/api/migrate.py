"""Makes the tables; safe to run again."""

import os
from pathlib import Path

import psycopg2

password = Path(os.environ["PASSWORD_FILE"]).read_text().strip()
connection = psycopg2.connect(host=os.environ["DATABASE_HOST"], dbname="shop", user="postgres", password=password)
with connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, text text NOT NULL)")
print("migrated")
