"""What ``cmstream gateway --print`` prints is taken by the programs that it is for."""

from __future__ import annotations

import os
import re
import sys

import pytest

from cmstream.gateway.printed import NAMES, printed
from cmstream.gateway.settings import Place, Settings, Tls
from helpers.command import run as command
from helpers.peers.program import must, need, run
from helpers.servers.dovecot import Dovecot
from helpers.servers.exim import Exim
from helpers.servers.namespace import within
from helpers.servers.opensmtpd import PATHS, OpenSMTPD
from helpers.servers.place import Place as At
from helpers.servers.place import folder
from helpers.servers.postfix import Postfix, Way
from helpers.systemd import exposure, started, units, verify

LMTP, SMTP, MILTER = "lmtp:127.0.0.1:10024", "smtp:127.0.0.1:10026", "milter:127.0.0.1:10025"
DATABASE = "sqlite:////var/lib/cmstream/accounts.sqlite3"


def settings(*listen, hop=None, database=DATABASE, **options):
    places = tuple(map(Place.parse, listen))
    return Settings(places, database, Place.parse(hop) if hop else None, **options)


# --- Postfix ---------------------------------------------------------------------------------


class Configured:
    """A private Postfix after the printed commands; it isn't started."""

    def __init__(self, own, text):
        self.server = Postfix(own, Way({}))
        self.etc = f"{own}/etc"
        must("sh", "-eu", input=text.encode(), env=os.environ | {"MAIL_CONFIG": self.etc})
        read = [must("postconf", "-c", self.etc, word) for word in ("-n", "-M")]
        self.warnings = b"".join(one.stderr for one in read).decode()
        self._values = dict(self._rows("-x"))
        self._options = dict(self._rows("-P"))

    def _rows(self, word):
        for line in self.server.run("postconf", word).splitlines():
            name, _, value = line.partition(" =")
            yield name, value.strip()

    def value(self, name):
        return self._values[name]

    def option(self, service, name):
        return self._options[f"{service}/{name}"]


@pytest.fixture
def postfix():
    with folder("printed") as own:
        yield lambda *words, **options: Configured(
            own, printed("postfix", settings(*words, **options))
        )


def test_postfix_by_lmtp(postfix):
    made = postfix(LMTP, hop="lmtp:unix:/run/dovecot/lmtp", xforward=True, next_timeout=1000)
    assert made.warnings == ""
    assert made.value("virtual_transport") == "lmtp:inet:127.0.0.1:10024"
    assert made.value("lmtp_line_length_limit") == "0"
    assert made.value("lmtp_data_done_timeout") == "1300s"
    assert made.value("lmtp_send_xforward_command") == "yes"
    assert made.value("smtpd_proxy_filter") == made.value("smtpd_milters") == ""
    assert made.value("mailbox_transport") == ""


def test_postfix_by_lmtp_with_tls(postfix):
    made = postfix("lmtps:[::1]:10024", hop="lmtp:unix:/run/x", tls=Tls("/c.pem"), require_tls=True)
    assert made.warnings == ""
    assert made.value("virtual_transport") == "lmtp:inet:[::1]:10024"
    assert made.value("lmtp_tls_wrappermode") == "yes"
    assert made.value("lmtp_tls_security_level") == "encrypt"


def test_postfix_before_the_queue(postfix):
    made = postfix(SMTP, hop="smtp:127.0.0.1:10027")
    assert made.warnings == ""
    assert made.value("smtpd_proxy_filter") == "inet:127.0.0.1:10026"
    assert made.value("smtpd_hard_error_limit") == "1000"
    assert made.value("smtpd_discard_ehlo_keywords") == "chunking"
    assert made.value("smtpd_proxy_timeout") == "600s"
    assert made.value("content_filter") == ""
    back = "127.0.0.1:10027/inet"
    assert made.option(back, "smtpd_proxy_filter") == ""
    assert made.option(back, "smtpd_recipient_restrictions") == "permit_mynetworks,reject"
    assert made.option("pickup/unix", "content_filter") == "cmstream:[127.0.0.1]:10026"
    assert made.option("pickup/unix", "receive_override_options") == "no_address_mappings"
    assert made.option("cmstream/unix", "smtp_line_length_limit") == "0"
    assert made.value("cmstream_destination_recipient_limit") == "1"


def test_postfix_after_the_queue_stands_there_as_a_comment():
    text = printed("postfix", settings(SMTP, hop="smtp:127.0.0.1:10027"))
    assert "\n#postconf -e 'content_filter = cmstream:[127.0.0.1]:10026'\n" in text
    assert "no_address_mappings" in text


def test_postfix_with_a_milter(postfix):
    made = postfix("milter:unix:/var/spool/postfix/cmstream/milter")
    assert made.warnings == ""
    assert made.value("smtpd_milters") == made.value("non_smtpd_milters")
    assert made.value("smtpd_milters") == "unix:cmstream/milter"  # as seen from its chroot
    assert made.value("milter_default_action") == "tempfail"
    assert made.value("smtpd_hard_error_limit") == "1000"


def test_a_comment_may_be_taken_up():
    """Every line that is commented out is a command that works, and all may be run twice."""
    text = printed("postfix", settings(LMTP, SMTP, MILTER, hop="smtp:127.0.0.1:10027"))
    taken_up = re.sub(r"^#(?=postconf )", "", text, flags=re.MULTILINE)
    assert taken_up.count("\npostconf ") >= text.count("\npostconf ") + 5
    with folder("printed") as own:
        made = Configured(own, taken_up + taken_up)
        checked = run("postfix", "-c", made.etc, "check")
        assert (checked.returncode, checked.stderr) == (0, b"")
        assert made.warnings == ""
        assert made.value("content_filter") == "cmstream:[127.0.0.1]:10026"


def test_a_socket_that_a_chroot_hides_is_named():
    text = printed("postfix", settings("lmtp:unix:/run/cmstream/lmtp", hop="lmtp:unix:/x"))
    assert "# /run/cmstream/lmtp lies outside of /var/spool/postfix" in text
    text = printed("postfix", settings("lmtp:unix:/var/spool/postfix/x", hop="lmtp:unix:/x"))
    assert "lies outside" not in text
    assert "lmtp:unix:x'" in text


@pytest.mark.parametrize(
    ("listen", "reached"),
    [("lmtp:0.0.0.0:24", "127.0.0.1:24"), ("lmtp:localhost:24", "127.0.0.1:24"),
     ("lmtp:inet6:[::]:24", "[::1]:24"), ("lmtp:systemd:mail", "127.0.0.1:10024")],
)  # fmt: skip
def test_places_are_those_that_a_client_reaches(listen, reached):
    text = printed("postfix", settings(listen, hop="lmtp:unix:/x"))
    assert f"'virtual_transport = lmtp:inet:{reached}'" in text


# --- the others ------------------------------------------------------------------------------


@pytest.mark.parametrize("hop", ["lmtp:unix:/run/dovecot/lmtp", "lmtp:127.0.0.1:24"])
def test_dovecot(hop):
    with folder("printed") as own:
        text = printed("dovecot", settings(LMTP, hop=hop, domain="example.org"))
        debian = "base_dir = /run/dovecot\nservice lmtp {\n  unix_listener lmtp {\n  }\n}\n"
        server = Dovecot(own, ["alice@example.org"], settings=debian + text)
        must("doveconf", "-c", server.configuration, "-n")

        def value(*words):
            return must("doveconf", "-c", server.configuration, *words).stdout.decode()

        assert value("-h", "recipient_delimiter") == "+\n"
        assert value("-h", "auth_username_format") == "%Lu\n"
        assert value("-h", "-f", "protocol=lmtp", "postmaster_address") == (
            "postmaster@example.org\n"
        )
        assert "lmtp" in value("-h", "protocols")
        listener = value("service/lmtp")
        assert ("mode = 0600" in listener) == ("unix" in hop)
        assert ("port = 24" in listener) == ("unix" not in hop)


@pytest.mark.parametrize("listen", [LMTP, "lmtp:unix:/run/cmstream/lmtp"])
def test_exim(listen):
    with folder("printed") as own:
        exim = Exim(own, At("127.0.0.1", 1))
        start = (own / "conf").read_text().partition("begin routers")[0]
        text = printed("exim", settings(listen, hop="lmtp:unix:/x"))
        (own / "conf").write_text(f"{start}domainlist local_domains = example.org\n{text}")
        must(*exim.run("-bV"))
        routed = must(*exim.run("-bt", "alice+x@example.org")).stdout.decode()
        assert "router = cmstream, transport = cmstream" in routed


@pytest.mark.parametrize("listen", [LMTP, "lmtp:unix:/run/cmstream/lmtp"])
def test_opensmtpd(listen):
    with folder("printed") as own:
        server = OpenSMTPD.deliver(own, At("127.0.0.1", 1))
        text = printed("opensmtpd", settings(listen, hop="lmtp:unix:/x"))
        (own / "aliases").write_text("root: alice\n")
        (own / "conf").write_text(text.replace("/etc/aliases", f"{own}/aliases"))
        checked = within(own, PATHS, [server.smtpd, "-n", "-f", own / "conf"])
        assert b"configuration OK" in must(*checked).stderr


def test_systemd(tmp_path):
    need("systemd-analyze")
    made = settings(
        LMTP, "lmtp:[::1]:10024", "seal:unix:/run/cmstream/seal", hop="lmtp:127.0.0.1:24",
        database="sqlite:////srv/mail 100%/x.sqlite3", workers=2, require=True,
    )  # fmt: skip
    files = {one.name: one for one in units(printed("systemd", made), tmp_path)}
    assert [*files] == [
        "cmstream-gateway-lmtp.socket", "cmstream-gateway-lmtp-2.socket",
        "cmstream-gateway-seal.socket", "cmstream-gateway.service",
    ]  # fmt: skip
    verify(*files.values())
    service = files["cmstream-gateway.service"].read_text()
    assert 'ReadWritePaths="/srv/mail 100%%"' in service


@pytest.mark.parametrize("weak", ["NoNewPrivileges", "ProtectSystem", "SystemCallFilter"])
def test_systemd_finds_the_service_closed(tmp_path, weak):
    """By its own measure, from 0 to 100; the same without one line is more open."""
    need("systemd-analyze")
    text = printed("systemd", settings(LMTP, hop="lmtp:unix:/x"))
    *_, service = units(text, tmp_path)

    whole = service.read_text()
    without = "".join(line for line in whole.splitlines(True) if not line.startswith(weak))
    assert exposure(service, whole) < 2.5
    assert exposure(service, without) > exposure(service, whole)


def test_a_unix_socket_of_systemd_has_the_mode_and_group_that_were_asked_for():
    seal = "seal:unix:/run/cmstream/seal"
    assert "\nSocketGroup=cmstream\nSocketMode=660\n" in printed("systemd", settings(seal))
    others = settings(seal, socket_mode="666", socket_group="vmail")
    assert "\nSocketGroup=vmail\nSocketMode=666\n" in printed("systemd", others)


OF_THE_UNIT = {"--listen", "--next", "--print", "--database", "--help"}


def test_the_unit_starts_the_same_gateway(tmp_path):
    """The options that it prints lead to the settings that they came from."""
    options = ["--require", "--domain=example.org", "--memory=4096", "--no-next-chunking",
               "--announce-chunking=no", "--health=127.0.0.1:8026", "--tls-certificate=/c.pem",
               "--tls-client-ca=/ca.pem", "--next-starttls=must", "--next-ca=/next.pem",
               "--log-file=/var/log/cmstream/log", "--log-format=json", "--xforward",
               "--drain-timeout=5", "--next-timeout=120", "--workers=3", "--mixed=split",
               "--stream", "--received", "--hop-limit=9", "--hostname=gate.example.org",
               "--size-limit=99999", "--recipient-limit=7", "--connection-limit=8",
               "--client-limit=6", "--command-limit=50", "--command-timeout=11",
               "--data-timeout=12", "--next-connections=4", "--socket-mode=666",
               "--socket-group=mail", "--tls-key=/k.pem", "--require-tls",
               "--next-certificate=/n.pem", "--next-key=/nk.pem", "--xclient"]  # fmt: skip
    known = set(re.findall(r"--[a-z-]+", command("gateway", "--help").stdout.decode()))
    assert {one.partition("=")[0] for one in options} >= known - OF_THE_UNIT
    words = ["gateway", f"--listen={LMTP}", "--next=lmtp:mail.example.org:24", *options]
    text = command(*words, "--database", DATABASE, "--print=systemd").stdout.decode()
    *_, service = units(text, tmp_path)
    words = started(service)
    start = words.index("gateway")
    assert words[:start] == [sys.executable, "-m", "cmstream"]
    assert {*options} <= {*words}
    again = command(*words[start:], "--print=systemd").stdout.decode()
    assert (
        again.replace("lmtp:systemd:lmtp", LMTP).partition("ExecStart")[2]
        == (text.replace("lmtp:systemd:lmtp", LMTP).partition("ExecStart")[2])
    )
    assert "ReadWritePaths=/var/log/cmstream\n" in text
    assert "TimeoutStopSec=20\n" in text


def test_no_password_is_printed():
    database = "postgresql://cmstream:geheim@db.example.org/mail"
    text = printed("systemd", settings(LMTP, hop="lmtp:unix:/x", database=database))
    assert "geheim" not in text
    assert "--database" not in text
    assert "\nEnvironmentFile=/etc/cmstream/environment\n" in text


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_short(name):
    made = settings(LMTP, SMTP, MILTER, hop="lmtp:127.0.0.1:24")
    assert max(map(len, printed(name, made).splitlines())) <= 120


@pytest.mark.parametrize("name", ["exim", "opensmtpd"])
def test_who_hands_mail_over_by_lmtp_alone_needs_it(name):
    done = command("gateway", "--listen", MILTER, "--print", name, code=64)
    assert b"add a --listen" in done.stderr


def test_dovecot_needs_to_be_the_next_hop():
    done = command("gateway", "--listen", MILTER, "--print", "dovecot", code=64)
    assert b"name it with --next lmtp:PLACE" in done.stderr
