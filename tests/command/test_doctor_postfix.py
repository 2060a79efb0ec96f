"""``cmstream doctor`` reads a real Postfix's configuration: what ``--print`` prints is well, and
each setting that would lose or open mail is found."""

from __future__ import annotations

import json

import pytest

from cmstream.command import doctor_postfix
from cmstream.gateway.printed import printed
from cmstream.gateway.settings import Place, Settings
from helpers.command import run
from helpers.peers.program import must
from helpers.servers.place import folder
from helpers.servers.postfix import Postfix, Way

LMTP = ("lmtp:127.0.0.1:10024", "lmtp:unix:/run/dovecot/lmtp")
SMTP = ("smtp:127.0.0.1:10026 milter:127.0.0.1:10025", "smtp:127.0.0.1:10027")
MILTER = ("milter:127.0.0.1:10025", None)
LIMIT = {"message_size_limit": "10240000"}


def settings(way, **options):
    listen, hop = way
    places = tuple(map(Place.parse, listen.split()))
    return Settings(places, "", hop and Place.parse(hop), **options)


@pytest.fixture(scope="module", params=[LMTP, SMTP, MILTER], ids=["lmtp", "smtp", "milter"])
def way(request):
    """A way, and the folder of a configuration as it is printed for it."""
    with folder("doctor") as own:
        postfix = Postfix(own, Way(LIMIT))
        text = printed("postfix", settings(request.param))
        must("sh", "-eu", input=text.encode(), env={"MAIL_CONFIG": f"{own}/etc", "PATH": PATH})
        yield request.param, postfix


PATH = "/usr/sbin:/usr/bin:/bin"


def look(postfix, delimiters="+", **options):
    found = doctor_postfix.read(f"{postfix.folder}/etc")
    return [*doctor_postfix.look(found, settings(LMTP, **options), delimiters)]


def test_what_is_printed_is_well(way):
    _, postfix = way
    found = look(postfix)
    assert {one.status for one in found} == {"ok"}, found


def test_each_line_of_it_counts():
    """With all that is printed there is nothing to say; with each line changed, of each."""
    with folder("doctor") as own:
        postfix = Postfix(own, Way(LIMIT))
        for way in (LMTP, SMTP, MILTER):
            text = printed("postfix", settings(way)).encode()
            must("sh", "-eu", input=text, env={"MAIL_CONFIG": f"{own}/etc", "PATH": PATH})
        assert {one.status for one in look(postfix)} == {"ok"}
        more = "content_filter=cmstream:[127.0.0.1]:10026"  # now not only pickup's
        postfix.run("postconf", "-e", more, *(f"{name}={value}" for name, value, *_ in MAIN))
        postfix.run("postconf", "-P", *(f"{name}={value}" for name, value, *_ in SERVICES))
        bad = [one for one in look(postfix) if one.status != "ok"]
        for name, _, status, said in MAIN + SERVICES:
            assert [one.status for one in bad if said in str(one)] == [status], (name, bad)
        assert len(bad) == len(MAIN + SERVICES)


MAIN = [
    ("lmtp_line_length_limit", "998", "wrong", "breaks lines of more than 998 bytes"),
    ("lmtp_data_done_timeout", "3m", "wrong", "lmtp/unix waits 180 s"),
    ("smtpd_proxy_timeout", "100s", "wrong", "waits 100 s"),
    ("smtpd_hard_error_limit", "${stress?{1}:{20}}", "wrong", "after 20 errors"),
    ("smtpd_discard_ehlo_keywords", "dsn", "warning", "announces CHUNKING"),
    ("smtpd_proxy_options", "speed_adjust", "wrong", "writes mail to a file"),
    ("smtpd_milters", "inet:127.0.0.1:9, {inet:127.0.0.1:8, default_action=reject}", "warning",
     "does this with mail: reject"),
    ("milter_default_action", "accept", "wrong", "does this with mail: accept"),
    ("non_smtpd_milters", "inet:127.0.0.1:9", "warning", "mail from sendmail(1) doesn't pass"),
    ("recipient_delimiter", "+-", "wrong", "--recipient-delimiter=+-"),
    ("message_size_limit", "0", "warning", "any number of bytes"),
]  # fmt: skip
SERVICES = [
    ("cmstream/unix/smtp_line_length_limit", "990", "wrong",
     "postconf -P 'cmstream/unix/smtp_line_length_limit=0'"),
    ("pickup/unix/content_filter", "", "warning", "sendmail(1) passes no smtpd"),
]  # fmt: skip


@pytest.mark.parametrize("way", [SMTP, MILTER])
def test_what_delivers_sealed_mail_may_break_lines(way):
    """Behind a gateway that stands before the queue; not where it stands at the mailboxes."""
    own_way = settings(way)
    with folder("doctor") as own:
        Postfix(own, Way(LIMIT | {"virtual_transport": "lmtp:unix:private/lmtp",
                                  "lmtp_line_length_limit": "998"}))  # fmt: skip
        text = printed("postfix", own_way).encode()
        must("sh", "-eu", input=text, env={"MAIL_CONFIG": f"{own}/etc", "PATH": PATH})
        read = doctor_postfix.read(f"{own}/etc")
        found = [*doctor_postfix.look(read, own_way, "+")]
        assert {one.status for one in found} == {"ok"}, found
        found = doctor_postfix.look(read, settings(LMTP), "+")
        assert "breaks lines of more than 998" in str([one for one in found if one.remedy])


@pytest.mark.parametrize(
    ("main", "service", "tells"),
    [
        ({"smtpd_milters": "inet:127.0.0.1:9"}, "", True),
        ({"smtpd_milters": "inet:127.0.0.1:9"}, "cleanup/unix/", True),
        ({"smtpd_milters": "inet:127.0.0.1:9",
          "receive_override_options": "no_address_mappings"}, "", False),
        # For bounces alone; and a milter of another kind, before a gateway at the mailboxes.
        ({"non_smtpd_milters": "inet:127.0.0.1:9"}, "", False),
        ({"smtpd_milters": "inet:127.0.0.1:9", "virtual_transport": "lmtp:inet:127.0.0.1:8"}, "",
         False),
    ],
)  # fmt: skip
def test_copies_that_postfix_adds(main, service, tells):
    with folder("doctor") as own:
        postfix = Postfix(own, Way(LIMIT | main))
        option = "-P" if service else "-e"
        postfix.run("postconf", option, f"{service}always_bcc=alice@example.org")
        found = [one.text for one in look(postfix) if "always_bcc" in one.text]
    assert len(found) == tells


def test_a_limit_that_is_no_number():
    with folder("doctor") as own:
        Postfix(own, Way({"message_size_limit": "\u00b2"}))
        assert doctor_postfix.read(f"{own}/etc").longest is None


@pytest.mark.parametrize("way", [LMTP, SMTP, MILTER])
@pytest.mark.parametrize("name", ["virtual_alias_maps", "recipient_bcc_maps"])
def test_recipients_that_are_found_after_the_gateway(way, name):
    with folder("doctor") as own:
        postfix = Postfix(own, Way(LIMIT | {name: "inline:{sales=alice}"}))
        text = printed("postfix", settings(way)).encode()
        must("sh", "-eu", input=text, env={"MAIL_CONFIG": f"{own}/etc", "PATH": PATH})
        told = [one for one in look(postfix) if name in one.text]
    assert [one.status for one in told] == ([] if way is LMTP else ["warning"])


@pytest.mark.parametrize(
    ("main", "status"),
    [
        ({"smtpd_milters": "inet:127.0.0.1:9"}, "warning"),
        ({"content_filter": "lmtp:inet:127.0.0.1:9"}, "warning"),
        ({"smtpd_proxy_filter": "127.0.0.1:9"}, "warning"),
        ({"non_smtpd_milters": "inet:127.0.0.1:9", "internal_mail_filter_classes": "notify"},
         "warning"),
        ({"content_filter": "lmtp:inet:127.0.0.1:9", "internal_mail_filter_classes": "bounce"},
         "warning"),
        ({"non_smtpd_milters": "inet:127.0.0.1:9", "internal_mail_filter_classes": "bounce"}, "ok"),
        ({"smtpd_milters": "inet:127.0.0.1:9", "virtual_transport": "lmtp:inet:127.0.0.1:8"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_bounces_that_postfix_writes(main, status):
    """At the mailboxes they pass the gateway as all mail does; elsewhere only as a milter."""
    with folder("doctor") as place:
        found = look(Postfix(place, Way(LIMIT | main)))
    assert [one.status for one in found if "bounces that" in one.text] == (
        [status] if status else []
    )


@pytest.mark.parametrize(
    ("main", "cleanup", "status"),
    [
        ({"smtpd_milters": "inet:127.0.0.1:9"}, None, "wrong"),
        ({"content_filter": "lmtp:inet:127.0.0.1:9"}, "14000000", "wrong"),
        ({"content_filter": "lmtp:inet:127.0.0.1:9"}, "15000000", "ok"),
        ({"smtpd_proxy_filter": "127.0.0.1:9"}, "0", "ok"),
        ({"smtpd_proxy_filter": "127.0.0.1:9", "message_size_limit": "0"}, None, None),
        ({"virtual_transport": "lmtp:inet:127.0.0.1:9"}, None, None),
    ],
)
def test_what_is_longer_once_it_is_sealed(main, cleanup, status):
    with folder("doctor") as place:
        postfix = Postfix(place, Way(LIMIT | main))
        if cleanup:
            postfix.run("postconf", "-P", f"cleanup/unix/message_size_limit={cleanup}")
        found = look(postfix)
    texts = "a sealed message may be longer", "once they are sealed"
    told = [one for one in found if any(text in one.text for text in texts)]
    assert [one.status for one in told] == ([status] if status else [])


def test_where_mail_passes_a_filter_the_milter_may_be_for_the_rest():
    lists = {"non_smtpd_milters": "inet:127.0.0.1:9", "smtpd_proxy_filter": "127.0.0.1:8"}
    with folder("doctor") as place:
        found = look(Postfix(place, Way(LIMIT | lists)))
    assert "doesn't pass the milter" not in str(found)
    assert "ok: mail from sendmail(1) passes a milter" in str(
        [f"{one.status}: {one.text}" for one in found]
    )


def test_a_milter_may_have_an_action_of_its_own():
    at = "inet:127.0.0.1:10025"
    own = f"{{ {at}, default_action=tempfail }}"
    lists = {"smtpd_milters": own, "non_smtpd_milters": own, "milter_default_action": "accept"}
    lists["internal_mail_filter_classes"] = "notify, bounce"
    with folder("doctor") as place:
        found = look(Postfix(place, Way(LIMIT | lists)))
    assert [one.status for one in found if "milter" in one.text] == ["ok", "ok"]


def test_a_postfix_that_hands_nothing_over():
    with folder("doctor") as own:
        found = look(Postfix(own, Way(LIMIT)))
    assert [one.status for one in found] == ["warning", "ok", "ok"]
    assert "nothing hands mail to a gateway" in found[0].text


def test_limits_are_the_gateways():
    with folder("doctor") as own:
        postfix = Postfix(own, Way(LIMIT | {"virtual_transport": "lmtp:inet:127.0.0.1:10024",
                                            "lmtp_line_length_limit": "0"}))  # fmt: skip
        assert {one.status for one in look(postfix)} == {"ok"}
        short = [one for one in look(postfix, size_limit=1000) if one.status == "warning"]
        assert "the gateway of 1000: longer ones bounce" in short[0].text
        late = [one for one in look(postfix, next_timeout=900.0) if one.status == "wrong"]
        assert late[0].remedy == "postconf -e 'lmtp_data_done_timeout = 1200s'"


def test_a_service_that_passes_no_filter():
    with folder("doctor") as own:
        postfix = Postfix(own, Way(LIMIT))
        text = printed("postfix", settings(SMTP)).encode()
        must("sh", "-eu", input=text, env={"MAIL_CONFIG": f"{own}/etc", "PATH": PATH})
        postfix.run("postconf", "-M", "submission/inet=submission inet n - n - - smtpd")
        assert {one.status for one in look(postfix)} == {"ok"}
        postfix.run("postconf", "-P", "submission/inet/smtpd_proxy_filter=",
                    "submission/inet/smtpd_milters=")  # fmt: skip
        (found,) = [one for one in look(postfix) if one.status != "ok"]
        assert found.text.startswith("mail that comes to submission/inet passes no filter")
        postfix.run(*found.remedy.replace("'", "").split())
        assert "passes no filter" not in str(look(postfix))


def test_a_folder_without_a_configuration(tmp_path):
    found = doctor_postfix.read(str(tmp_path))
    assert found.status == "wrong"
    assert "can't be read" in found.text
    done = run("doctor", "--json", "--postfix-config", str(tmp_path), code=78)
    assert [one["text"] for one in json.loads(done.stdout)].count(found.text) == 1


def test_without_postfix_there_is_nothing_to_look_at(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(doctor_postfix, "_PLACES", "/nowhere")
    assert doctor_postfix.read(None) is None
    assert doctor_postfix.read("/etc/postfix").status == "wrong"
