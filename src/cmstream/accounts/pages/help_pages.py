"""The help pages, for owners who aren't technical; their texts are the templates in help/."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.responses import Response

    from .visit import Visit


class Topic(NamedTuple):
    """A page: its title, where its facts come from, and whether it is about a mail program."""

    title: str
    source: str = ""
    program: bool = True


_NAMES = "Names of menus change with versions."
_READ = "Looked up on 29 November 2026 in {}. " + _NAMES
_NOT_READ = "From {}, not checked against the maker's newest pages (29 November 2026). " + _NAMES

TOPICS = {
    "certificate": Topic("Where to get a certificate", program=False),
    "key": Topic("Back up your key: without it this mail is lost", program=False),
    "sealed": Topic("What is sealed, and what isn't", program=False),
    "unreadable": Topic("If you can't read it", program=False),
    "apple-mail": Topic(
        "Apple Mail on the Mac", _NOT_READ.format("what others wrote of Keychain Access")
    ),
    "iphone": Topic(
        "iPhone and iPad", _READ.format("Apple's “Use S/MIME to send and receive messages”")
    ),
    "outlook": Topic("Outlook", _NOT_READ.format("copies of Microsoft's older help")),
    "thunderbird": Topic(
        "Thunderbird", _NOT_READ.format("what others wrote of its menus; reading was tried")
    ),
    "evolution": Topic(
        "Evolution", _READ.format("Evolution's help, “Managing S/MIME certificates”")
    ),
    "kmail": Topic("KMail and Kleopatra", _READ.format("the Kleopatra handbook")),
}
"""By the name in the page's address."""


def index(visit: Visit) -> Response:
    """All of them."""
    return visit.show("help/index.html", title="Help", source="", topics=TOPICS)


def topic(visit: Visit) -> Response:
    """One of them."""
    name = str(visit.request.path_params["topic"])
    if name not in TOPICS:
        raise HTTPException(404)
    one = TOPICS[name]
    return visit.show(f"help/{name}.html", title=one.title, source=one.source, topics=TOPICS)
