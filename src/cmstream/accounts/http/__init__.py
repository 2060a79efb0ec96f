"""What the HTTP API and the pages share: callers, settings, input, problems."""
