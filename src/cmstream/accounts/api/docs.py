"""The API's description for people to read: one page made from the OpenAPI document, by the
server, with a style of its own and nothing else."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from ..http.resources import Resource
from .openapi import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ info.title }}: HTTP API</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<header><h1>{{ info.title }} {{ info.version }}: HTTP API</h1>
{% for text in about %}<p>{{ text }}</p>
{% endfor %}<p>For programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI {{ openapi }}).</p>
</header>
<nav aria-label="Operations">{% for tag, operations in tags.items() %}<h2>{{ tag }}</h2><ul>
{% for one in operations %}<li><a href="#{{ one.operationId }}"><code>{{ one.method }} \
{{ one.path }}</code></a></li>
{% endfor %}</ul>{% endfor %}</nav>
<main>{% for operations in tags.values() %}{% for one in operations %}
<section id="{{ one.operationId }}">
<h2><code>{{ one.method }} {{ one.path }}</code></h2>
<p>{{ one.summary }}. {{ one.description }}</p>
{% if one.parameters %}<table><caption>Parameters</caption>
<tr><th scope="col">Name</th><th scope="col">In</th><th scope="col">What</th></tr>
{% for p in one.parameters %}<tr><th scope="row"><code>{{ p.name }}</code></th><td>{{ p.in }}</td>\
<td>{{ p.description }} {{ words(p.schema) }}</td></tr>
{% endfor %}</table>{% endif %}
{% if one.requestBody %}<p>Body:\
{% for kind, part in one.requestBody.content.items() %} {{ kind }}{{ named(part.schema) }}\
{{ "" if loop.last else "," }}{% endfor %}</p>{% endif %}
<table><caption>Answers</caption>
<tr><th scope="col">Status</th><th scope="col">What</th></tr>
{% for status, answer in one.responses.items() %}<tr><th scope="row">{{ status }}</th>\
<td>{{ answer.description }}{% for kind, part in (answer.content or {}).items() %} {{ kind }}\
{{ named(part.schema) }}{% endfor %}</td></tr>
{% endfor %}</table>
</section>{% endfor %}{% endfor %}
<h2>JSON</h2>
{% for name, schema in schemas.items() %}<section id="{{ name }}">
<h3>{{ name }}</h3>
<table><tr><th scope="col">Member</th><th scope="col">What</th></tr>
{% for member, part in schema.properties.items() %}<tr>
<th scope="row"><code>{{ member }}</code></th><td>{{ part.description }} {{ words(part) }}\
{{ "" if member in (schema.required or []) else "(optional)" }}</td></tr>
{% endfor %}</table>
{% if schema.example %}<pre><code>{{ pretty(schema.example) }}</code></pre>{% endif %}
</section>{% endfor %}</main>
</body>
</html>
"""
_STYLE = """\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; }
code, pre { font: 0.92em/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { border: 1px solid GrayText; border-radius: 6px; padding: 0.75rem; overflow: auto; }
section { border-top: 1px solid GrayText; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
caption { text-align: left; font-weight: bold; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
th[scope="row"] { font-weight: normal; white-space: nowrap; }
nav ul { list-style: none; padding: 0; }
"""


def _operations() -> Iterator[dict[str, Any]]:
    for path, methods in DOCUMENT["paths"].items():
        shared = methods.get("parameters", [])
        for method, found in methods.items():
            if method != "parameters":
                own = [*shared, *found.get("parameters", [])]
                yield {**found, "method": method.upper(), "path": path, "parameters": own}


def _words(schema: dict[str, Any]) -> str:
    """A schema's kind and bounds in a few words."""
    if "$ref" in schema:
        return _named(schema)
    kinds = schema.get("type", [])
    parts = [" or ".join(kinds) if isinstance(kinds, list) else kinds]
    if "enum" in schema:
        parts.append(", ".join(map(json.dumps, schema["enum"])))
    if "items" in schema:
        parts.append(Markup("of {}").format(_words(schema["items"])))
    if "minimum" in schema and "maximum" in schema:
        parts.append(f"{schema['minimum']} to {schema['maximum']}")
    return Markup("[{}]").format(Markup(": ").join(part for part in parts if part))


def _named(schema: dict[str, Any]) -> str:
    """A link to the schema that is referred to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return Markup(' <a href="#{0}">{0}</a>').format(name) if name else ""


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@cache
def _page() -> str:
    tags: dict[str, list[dict[str, Any]]] = {}
    for one in _operations():
        tags.setdefault(one["tags"][0], []).append(one)
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(
        info=DOCUMENT["info"],
        openapi=DOCUMENT["openapi"],
        about=DOCUMENT["info"]["description"].strip().split("\n\n"),
        schemas=DOCUMENT["components"]["schemas"],
        tags=tags,
        words=_words,
        named=_named,
        pretty=_pretty,
    )


async def show(request: Request) -> Response:
    """The page."""
    del request
    return HTMLResponse(_page(), headers={"Cache-Control": "no-cache"})


async def style(request: Request) -> Response:
    """Its style sheet."""
    del request
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "no-cache"})


routes = [Resource("/docs", GET=show), Resource("/docs.css", GET=style)]
