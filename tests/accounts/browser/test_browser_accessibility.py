"""Every page by keyboard and screen reader, on a narrow screen, in light and dark."""

from __future__ import annotations

import datetime as dt

import pytest

from cmstream.accounts.pages.help_pages import TOPICS
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.accounts.visitor import ALICE, ROOT

pytestmark = pytest.mark.slow

OWNERS = [
    "/account",
    "/account/upload",
    "/account/settings",
    "/account/log",
    "/account/test",
    "/account/off",
    "/help",
    *(f"/help/{name}" for name in TOPICS),
    "/password",
    "/nothing",
]
ADMINISTRATORS = [
    "/accounts",
    "/accounts/add",
    "/accounts/import",
    "/switches",
    "/log",
    f"/account?address={ALICE}",
    f"/account/addresses?address={ALICE}",
    f"/account/remove?address={ALICE}",
    f"/account/owner?address={ALICE}",
]

CHECKS = """() => {
    const wrong = [];
    const all = (selector) => Array.from(document.querySelectorAll(selector));
    const seen = (one) => one.getClientRects().length > 0;
    const expect = (fine, text) => fine || wrong.push(text);

    expect(document.documentElement.lang === "en", "no language");
    expect(document.title.trim() !== "", "no title");
    for (const landmark of ["main", "header", "footer"])
        expect(all(`body > ${landmark}`).length === 1, `landmark ${landmark}`);
    expect(all("h1").length === 1, "not one h1");
    let level = 1;
    for (const heading of all("main h1, main h2, main h3, main h4")) {
        const next = Number(heading.tagName[1]);
        expect(next <= level + 1 || heading.tagName === "H1", `jump to ${heading.textContent}`);
        level = next;
    }

    const named = (one) => (one.labels && one.labels.length > 0) || one.getAttribute("aria-label");
    for (const one of all("input:not([type=hidden]), select, textarea"))
        expect(named(one), `no label: ${one.name}`);
    for (const one of all("a, button"))
        expect(one.textContent.trim() !== "", `no text: ${one.outerHTML}`);
    for (const one of all("img")) expect(one.hasAttribute("alt"), "picture without alt");
    for (const one of all("svg")) expect(one.getAttribute("aria-hidden") === "true", "loud svg");
    for (const one of all("fieldset"))
        expect(one.firstElementChild.tagName === "LEGEND", "fieldset without legend");
    for (const one of all("nav, section, article")) {
        const label = one.getAttribute("aria-labelledby");
        const text = label && document.getElementById(label);
        expect(one.getAttribute("aria-label") || text, `unnamed ${one.outerHTML.slice(0, 60)}`);
    }
    for (const one of all("table"))
        expect(one.caption && one.querySelectorAll("thead th:not([scope])").length === 0, "table");

    const ids = all("[id]").map((one) => one.id);
    expect(new Set(ids).size === ids.length, `an id twice: ${ids}`);
    for (const name of ["aria-describedby", "aria-labelledby", "for"])
        for (const one of all(`[${name}]`))
            for (const id of one.getAttribute(name).split(" "))
                expect(document.getElementById(id), `${name}=${id} leads nowhere`);
    for (const one of all("[tabindex]")) expect(one.tabIndex <= 0, "tabindex above 0");
    expect(all("[style], style, script:not([src]), [onclick]").length === 0, "inline");
    for (const form of all("form[method=post]"))
        expect(form.querySelector("[name=csrf]").value.length >= 32, "form without token");

    const parsed = (text) => {
        const numbers = text.match(/[\\d.]+/g).map(Number);
        return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1 };
    };
    const luminance = (rgb) => {
        const part = rgb.map((v) => v / 255).map((v) =>
            v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
    };
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const color = parsed(getComputedStyle(at).backgroundColor);
            if (color.alpha === 1) return color.rgb;
        }
        return [255, 255, 255];
    };
    const ratio = (first, second) => {
        const [a, b] = [luminance(first), luminance(second)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
    for (const one of all("body *")) {
        const own = Array.from(one.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || !seen(one)) continue;
        const style = getComputedStyle(one);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const found = ratio(parsed(style.color).rgb, ground(one));
        const text = one.textContent.trim().slice(0, 40);
        expect(found >= (large ? 3 : 4.5), `contrast ${found.toFixed(2)}: ${text}`);
    }
    for (const one of all("input:not([type=hidden]):not([type=file]), select, textarea, .button")) {
        const edge = parsed(getComputedStyle(one).borderTopColor).rgb;
        const found = ratio(edge, ground(one.parentElement));
        expect(found >= 3, `edge ${found.toFixed(2)}: ${one.id || one.textContent}`);
    }
    return wrong;
}"""
REFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def furnished(store):
    """An account with something of everything."""
    now = dt.datetime.now(dt.timezone.utc)
    soon = {"not_after": now + dt.timedelta(days=9)}
    store.change_account(ALICE, by=OWNER, cipher="aes256-gcm", clients=["gpgsm", "outlook-classic"])
    store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
    store.import_certificates(ALICE, pem(number=1, **soon), by=OWNER, description="the card")
    store.import_certificates(ALICE, pem(number=2, bits=1024), by=OWNER)
    fingerprint = store.certificates(ALICE)[0].fingerprint
    store.retire_certificate(ALICE, fingerprint, by=OWNER)
    return fingerprint


def look(person, paths, scheme):
    person.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for path in paths:
        assert person.open(path).status == (404 if path == "/nothing" else 200)
        assert person.page.evaluate(CHECKS) == [], path
        person.page.set_viewport_size({"width": 320, "height": 640})
        assert person.page.evaluate(REFLOW) <= 0, f"{path} is wider than its screen"
        person.page.set_viewport_size({"width": 1100, "height": 800})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_and_used(visitor, store, furnished, scheme):
    look(visitor(), ["/sign-in"], scheme)
    alice = visitor().enter(store, ALICE)
    one = f"?fingerprint={furnished}"
    mine = [f"/account/certificate{one}", f"/account/certificate/delete{one}"]
    look(alice, [*OWNERS, *mine], scheme)
    look(visitor().enter(store, ROOT), ADMINISTRATORS, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_errors_and_previews_can_be_read_too(alice, tmp_path, scheme):
    alice.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    path = tmp_path / "bob.pem"
    path.write_bytes(pem(number=2, bits=1024, emails=("bob@example.net",)))
    letter = tmp_path / "letter.pem"
    letter.write_text("Dear Alice")
    alice.open("/account/upload")
    alice.press("Look into the files")
    assert alice.page.evaluate(CHECKS) == []
    alice.page.get_by_label("Files with certificates").set_input_files([path, letter])
    alice.press("Look into the files")
    assert alice.page.evaluate(CHECKS) == []
    alice.page.get_by_label("Your password for this page").fill("wrong")
    alice.press("Save")
    assert alice.page.evaluate(CHECKS) == []
    assert alice.page.title().startswith("Error: ")


def test_what_is_wrong_gets_the_focus_and_leads_to_the_field(visitor):
    person = visitor().sign_in(password="wrong")
    focused = "document.activeElement"
    assert person.page.evaluate(f"{focused}.getAttribute('role')") == "alert"
    person.page.keyboard.press("Tab")
    person.page.keyboard.press("Enter")
    assert person.page.evaluate(f"{focused}.id") == "name"
    assert person.page.evaluate(f"{focused}.getAttribute('aria-describedby')") == "name-wrong"


def test_the_keyboard_alone_is_enough(visitor):
    person = visitor()
    person.open("/sign-in")
    press = person.page.keyboard.press
    press("Tab")
    assert person.page.evaluate("document.activeElement.className") == "skip"
    assert person.page.locator(".skip").bounding_box()["y"] >= 0
    press("Enter")
    press("Tab")
    person.page.keyboard.type(ALICE)
    press("Tab")
    person.page.keyboard.type("seven green teapots")
    press("Enter")
    person.page.get_by_role("heading", level=1, name=ALICE).wait_for()
    outline = person.page.evaluate(
        "() => { const link = document.querySelector('main a'); link.focus();"
        " return getComputedStyle(link).outlineStyle; }"
    )
    assert outline == "solid"
