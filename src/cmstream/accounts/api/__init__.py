"""The HTTP API under ``/api/v1``, its description, and the metrics."""
