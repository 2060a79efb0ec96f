"""The API's description: that it is the API's, and that the API keeps to it."""

from __future__ import annotations

import copy
import re

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from cmstream.accounts.api import (
    api,
    docs,
    openapi,
)
from cmstream.accounts.api.openapi import DOCUMENT
from cmstream.accounts.http.resources import Resource
from cmstream.accounts.people.people import SCOPES
from helpers.accounts import served
from helpers.accounts.served import certificates, peopled, serving
from helpers.accounts.support import pem

SCHEMAS = DOCUMENT["components"]["schemas"]
UNDESCRIBED = {"/openapi.json", "/docs", "/docs.css"}  # what describes


def operations():
    for path, methods in DOCUMENT["paths"].items():
        for method in methods.keys() - {"parameters"}:
            yield method.upper(), path, methods[method]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    path = peopled(tmp_path_factory.mktemp("schema") / "accounts.sqlite3")
    with serving(served.copy(path, tmp_path_factory.mktemp("served"))) as found:
        found.administrator.put(certificates(), content=pem())
        yield found


def test_every_route_and_method_is_described_and_the_other_way_round():
    routes = [*api.routes, *openapi.routes, *docs.routes]
    assert all(isinstance(route, Resource) for route in routes)
    served = {(method, route.path_format) for route in routes for method in route.operations}
    described = {(method, path) for method, path, _ in operations()}
    assert described == {one for one in served if one[1] not in UNDESCRIBED}


def test_every_parameter_of_a_path_is_described():
    for path, methods in DOCUMENT["paths"].items():
        named = {one["name"] for one in methods.get("parameters", [])}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_operations_have_names_of_their_own_and_scopes_that_exist():
    names = [found["operationId"] for *_, found in operations()]
    assert len(set(names)) == len(names)
    wanted = {
        scope for *_, found in operations()
        for scope in re.findall(r"scope `(\S+)`", found.get("description", ""))
    }  # fmt: skip
    assert wanted == set(SCOPES)


def test_every_schema_is_used_and_every_reference_leads_somewhere():
    used = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert used == SCHEMAS.keys()


@pytest.mark.parametrize("name", [name for name in SCHEMAS if "example" in SCHEMAS[name]])
def test_an_example_is_what_its_schema_says(name):
    whole = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    validator.validate(SCHEMAS[name]["example"])
    first = next(iter(SCHEMAS[name]["properties"]))
    assert not validator.is_valid(SCHEMAS[name]["example"] | {first: 1.5})


def test_the_document_and_its_page_are_served_without_anything_from_elsewhere(world):
    assert world.client().get("/openapi.json").json() == DOCUMENT
    page = world.client().get("/docs").text
    for method, path, found in operations():
        assert found["operationId"] in page
        assert path in page
        assert method in page
    assert re.findall(r'(?:src|href)="([^#"]*)"', page) == [
        "/static/icon.svg",
        "/docs.css",
        "/openapi.json",
    ]
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)
    assert world.client().get("/docs.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    "address", ["a@example.org", '"a b"@example.org', '"a@b"@example.org', "ä@bücher.example"]
)
def test_an_address_that_is_taken_is_one_by_its_schema(world, address):
    whole = {"$ref": "#/components/schemas/NewAccount", "components": DOCUMENT["components"]}
    assert jsonschema_rs.Draft202012Validator(whole).is_valid({"address": address})
    made = world.administrator.post("/api/v1/accounts", json={"address": address})
    assert made.status_code in {201, 409}


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
APART = ["confirm", "signIn", "signOut", "revokeToken"]
"""Trying them would end or lock what the others are tried with."""
CONFIG = {
    "seed": 7,
    "checks": {
        "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 409, 413, 415, 422]}
    },
}


def without_credentials():
    """The description without what the test itself puts into each request; and a file is octets,
    whatever its media type."""
    document = copy.deepcopy(DOCUMENT)
    del document["components"]["securitySchemes"]
    for methods in document["paths"].values():
        for method in methods.keys() - {"parameters"}:
            del methods[method]["security"]
            kinds = methods[method].get("requestBody", {}).get("content", {})
            for kind in kinds.keys() - {"application/json", "application/octet-stream"}:
                del kinds[kind]
    return document


MACHINES = {
    found["operationId"] for *_, found in operations() if {"bearer": []} in found["security"]
}
described = schemathesis.openapi.from_dict(
    without_credentials(), config=schemathesis.config.SchemathesisConfig.from_dict(CONFIG)
)


@pytest.fixture(scope="module")
def root(world):
    """The headers of an administrator's session."""
    client = world.sign_in("root", confirmed=True)
    token = client.headers["X-CSRF-Token"]
    return {"Cookie": f"cmstream={client.cookies['cmstream']}", "X-CSRF-Token": token}


@described.exclude(operation_id=APART).parametrize()
@settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_to_its_description(case, world, root):
    machine = case.operation.definition.raw["operationId"] in MACHINES
    headers = {"Authorization": f"Bearer {world.secret}"} if machine else root
    case.call_and_validate(base_url=world.base, headers=headers, checks=CHECKS, timeout=20)
