"""The shop's API: GET / counts the visit, GET /orders lists, POST /orders adds (text body), GET /health."""

import os
import signal
import socket
import sys
from pathlib import Path

import psycopg2
import redis
from flask import Flask, request

app = Flask(__name__)
cache = redis.Redis(host=os.environ["CACHE_HOST"])


def query(statement, *values):
    password = Path(os.environ["PASSWORD_FILE"]).read_text().strip()
    connection = psycopg2.connect(host=os.environ["DATABASE_HOST"], dbname="shop", user="postgres", password=password)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


@app.get("/")
def visit():
    orders = query("SELECT count(*) FROM orders")[0][0]
    return f"shop on {socket.gethostname()}: visit {cache.incr('visits')}, {orders} orders\n"


@app.get("/orders")
def orders():
    return "".join(f"{number} {text}\n" for number, text in query("SELECT id, text FROM orders ORDER BY id"))


@app.post("/orders")
def order():
    query("INSERT INTO orders (text) VALUES (%s)", request.get_data(as_text=True))
    return "ordered\n", 201


@app.get("/health")
def health():
    query("SELECT 1")
    cache.ping()
    return "healthy\n"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=8000)
