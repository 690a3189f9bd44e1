"""`soba fetch`: what the local servers need, before the network is gone."""

import typer

from console.local import jars, redis_server

app = typer.Typer()


@app.command()
def fetch() -> None:
    """Fetch the jars of Kafka and the Redis binary into the cache and check them."""
    rows = jars.locked("kafka")
    jars.fetch(rows)
    binary = redis_server.server()
    print(f"{len(rows)} jars in {jars.cache_dir()} are those of the lock; Redis: {binary}")
