"""Every Prometheus metric of Soba, declared once with its help text.

The names of `python_services_*` are those of contracts/http.md; ours begin with `soba_`. The facade counts what it is
asked, by the service that answers; workers count what they handle.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30)
_BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

# The facade.
REQUESTS = Counter(
    "python_services_requests_total", "HTTP requests, by the service that answers.", ["service", "endpoint"]
)
REQUEST_SECONDS = Histogram(
    "python_services_request_latency_seconds", "Seconds from request to response.", ["service"], buckets=_SECONDS
)
REQUESTS_SUCCEEDED = Counter(
    "python_services_requests_success_total", "HTTP requests answered with a status below 400.", ["service"]
)
REQUESTS_FAILED = Counter(
    "python_services_requests_failed_total", "HTTP requests answered with a status of 400 or above.", ["service"]
)
RATE_LIMITED = Counter("soba_rate_limited_total", "HTTP requests refused by the rate limit.", ["endpoint"])
QUESTION_TRIES = Counter(
    "soba_question_tries_total", "Times a question was produced; above the questions asked are repeats.", ["topic"]
)
QUESTION_TIMEOUTS = Counter("soba_question_timeouts_total", "Questions without an answer in time.", ["topic"])
SERVICE_HEALTH = Gauge(
    "soba_service_health", "1 healthy, 0.5 degraded, 0 unhealthy, as /api/python/health says.", ["service"]
)

# Workers.
EVENTS_IN = Counter(
    "soba_events_in_total",
    "Records that an agent handled; of validate, the events in them, refused ones too.",
    ["agent"],
)
VERDICTS = Counter(
    "soba_verdicts_total",
    "Events that an agent did not refuse, by what became of them: new, duplicate, replayed, rerouted.",
    ["agent", "verdict"],
)
EVENTS_OUT = Counter("soba_events_out_total", "Records produced by an agent.", ["agent", "topic"])
REJECTED = Counter("soba_rejected_total", "Elements refused by a schema or a rule.", ["agent", "reason"])
WARNINGS = Counter("soba_warnings_total", "Warnings of what was not refused, by code.", ["agent", "code"])
DEAD_LETTERS = Counter(
    "soba_dead_letters_total",
    "Records written to dead-letter topics: what was rejected, and handler_error, where our own code failed.",
    ["agent", "reason"],
)
RETRIES = Counter("soba_retries_total", "Tries repeated because Kafka or Redis failed.", ["agent"])
BATCH_SIZE = Histogram("soba_batch_size", "Records in a batch.", ["agent"], buckets=_BATCHES)
HANDLER_SECONDS = Histogram(
    "soba_handler_seconds", "Seconds a handler took for a batch, by itself.", ["agent"], buckets=_SECONDS
)
BATCH_SECONDS = Histogram(
    "soba_batch_seconds",
    "Seconds from taking a batch to the last confirmation of what came of it: with what Kafka and Redis took.",
    ["agent"],
    buckets=_SECONDS,
)
LAG = Gauge("soba_consumer_lag", "Records between an agent's position and the end of its topic.", ["agent"])
RECORD_AGE = Gauge(
    "soba_record_age_seconds",
    "Seconds since the record that an agent handled last was written to its topic; grows while none comes.",
    ["agent"],
)
BLOCK_AGE = Gauge(
    "soba_block_age_seconds",
    "Seconds since the time of the block that an agent handled last; grows while none comes.",
    ["agent"],
)

# Models.
MODEL_VERSION = Gauge(
    "soba_model_version", "1 for the version of a model that this worker serves.", ["model", "version"]
)
MODEL_EXPIRES = Gauge(
    "soba_model_expires_timestamp_seconds",
    "When the version that this worker serves expires; later its results are marked stale.",
    ["model"],
)
RELEASES_REFUSED = Counter(
    "soba_model_releases_refused_total", "Releases that this worker did not take.", ["model", "reason"]
)
LISTED = Gauge("soba_listed_addresses", "Addresses on operators' lists, as this worker knows them.", ["list"])
LISTS_REFUSED = Counter("soba_lists_refused_total", "Records of the topic lists that this worker did not take.")
MODEL_PSI = Gauge(
    "soba_model_psi",
    "How far the wallets of the last seven days are from those of training, by the population stability index: of each feature, "
    "and of the score; left out while there are fewer than 500 of them. Of the whole system, whichever worker is asked.",
    ["model", "feature"],
)
MODEL_PSI_WALLETS = Gauge(
    "soba_model_psi_wallets", "The wallets that soba_model_psi is made of: one in 64, once a day.", ["model"]
)

# Labels.
FRAUD_OUTCOMES = Gauge(
    "soba_fraud_outcomes",
    "Labelled wallets by label, and by what they had been judged: a level, unseen, or trained_on where the model knew the answer.",
    ["label", "judged"],
)
FRAUD_PRECISION = Gauge(
    "soba_fraud_precision", "Of labelled wallets judged this level or above, the share of fraud.", ["level"]
)
FRAUD_RECALL = Gauge(
    "soba_fraud_recall", "Of labelled fraud that had been judged, the share judged this level or above.", ["level"]
)
LABELS_REFUSED = Counter("soba_labels_refused_total", "Records of the topic labels that this worker did not take.")

# `soba ingest node`.
INGEST_BLOCKS = Counter(
    "soba_ingest_blocks_total", "Blocks sent to chain.events, by status: complete, partial, removed.", ["status"]
)
INGEST_UNDECODED = Counter("soba_ingest_undecoded_total", "Logs that became no event, by reason.", ["reason"])
INGEST_FAILURES = Counter(
    "soba_ingest_failures_total", "Answers of nodes that could not be used, by reason.", ["reason"]
)
INGEST_REORGANISATIONS = Counter("soba_ingest_reorganisations_total", "Times that sent blocks left the chain.")
INGEST_NUMBER = Gauge("soba_ingest_block_number", "The newest block that Kafka has confirmed.")
INGEST_HEAD = Gauge("soba_ingest_head_number", "The node's newest block.")
INGEST_PENDING = Counter(
    "soba_ingest_pending_total", "Pending transactions seen, by what they were: swap, other, gone.", ["kind"]
)
