"""Uses the page of a server as a reader would, in Chromium.

    adamole serve --model MODEL --adapter NAME=DIR --port 8000
    python page.py --base-url http://127.0.0.1:8000 --pictures FOLDER

It needs the `playwright` package and a Chromium (`apt install chromium`). Without one it says so and fails, or with
`--allow-skip` ends well. The server needs an adapter that routes. Writes pictures: desktop, narrow, dark."""

import argparse
import json
import pathlib
import shutil
import sys
import urllib.request

MESSAGE = "Why does the moon look larger near the horizon? <b>Answer</b> in two sentences."
TOKENS = 60


def api(arguments, path, body=None):
    headers = {"Content-Type": "application/json"}
    if arguments.api_key:
        headers["Authorization"] = f"Bearer {arguments.api_key}"
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(f"{arguments.base_url}/{path}", data, headers), timeout=300) as response:
        return json.load(response)


class Page:
    """An open page, with what went wrong on it."""

    def __init__(self, browser, arguments, **settings):
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **settings})
        self.page = self.context.new_page()
        self.wrong = []
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.wrong.append(f"console: {said.text}"))
        self.page.goto(f"{arguments.base_url}/")
        if arguments.api_key:
            self.page.fill("#key", arguments.api_key)
            self.page.click("#key-form button")
            self.wrong.clear()  # the browser reports the answer 401
        self.page.wait_for_selector("#model option", state="attached")

    def set(self, tokens=TOKENS):
        self.page.eval_on_selector("#settings details", "details => { details.open = true; }")
        self.page.fill("#temperature", "0")
        self.page.fill("#max-tokens", str(tokens))
        self.page.fill("#seed", "1")
        self.page.eval_on_selector("#settings details", "details => { details.open = false; }")

    def ask(self, text=MESSAGE):
        self.page.fill("#message", text)
        self.page.press("#message", "Enter")

    def finished(self):
        self.page.wait_for_function("() => !document.querySelector('#send').disabled", timeout=180_000)

    def close(self):
        assert not self.wrong, self.wrong
        self.context.close()


def cells(page, answer=0):
    """The heat map of an answer, by layer and projection."""
    return page.evaluate("""answer => {
        const table = document.querySelectorAll('.answer')[answer].querySelector('.heat-map');
        const text = (row) => [...row.children].map((cell) => cell.textContent);
        const [head, ...rows] = [...table.children].map(text);
        return rows.flatMap(([name, ...values]) => values.map((value, i) => [`${head[i + 1]} ${name}`, value]));
    }""", answer)


def place(linear):
    parts = linear.split(".")
    return f"{next(part for part in parts if part.isdigit())} {parts[-1]}"


def an_answer_appears_token_by_token_with_the_numbers_of_the_api(browser, arguments, routed):
    opened = Page(browser, arguments)
    page = opened.page
    opened.set()
    page.select_option("#model", routed["id"])
    opened.ask()
    page.wait_for_selector(".token")
    early = page.locator(".token").count()
    assert page.is_enabled("#stop"), "an answer can be stopped while it comes"
    opened.finished()
    assert page.locator(".token").count() > early, "tokens appear one after another"
    assert page.locator(".message b").count() == 0 and MESSAGE in page.inner_text(".message"), "messages are text"
    expected = api(arguments, "v1/chat/completions", {
        "model": routed["id"], "messages": [{"role": "user", "content": MESSAGE}], "temperature": 0, "seed": 1,
        "max_tokens": TOKENS, "routing": True})["choices"][0]
    assert page.text_content(".tokens") == expected["message"]["content"], page.text_content(".tokens")
    routing = expected["routing"]
    assert page.locator(".token").count() == len(routing)
    for number in (0, len(routing) // 2, len(routing) - 1):
        page.locator(".token").nth(number).hover()
        shown = dict(cells(page))
        wanted = {place(linear): str(active) for linear, active in zip(routed["adamole"]["linears"], routing[number]["active"])}
        assert {key: value for key, value in shown.items() if value} == wanted, (number, shown, wanted)
        mean = sum(routing[number]["active"]) / len(routing[number]["active"])
        heading = page.inner_text(".routing p")
        assert f"Token {number + 1}," in heading and f"{mean:.2f} of {routed['adamole']['experts']}" in heading, heading
    if routing[0]["thresholds"]:
        page.get_by_role("button", name="Thresholds").click()
        wanted = {place(linear): value for linear, value in zip(routed["adamole"]["linears"], routing[-1]["thresholds"])}
        for key, value in cells(page):
            assert not value or abs(float(value) - wanted[key]) <= 0.0006, (key, value, wanted[key])
        page.get_by_role("button", name="Active experts").click()
    opened.close()


def the_keyboard_is_enough(browser, arguments, routed):
    opened = Page(browser, arguments, viewport={"width": 480, "height": 900})
    page, keyboard = opened.page, opened.page.keyboard
    opened.set()
    page.select_option("#model", routed["id"])

    def tab_to(selector, key="Tab"):
        for _ in range(40):
            keyboard.press(key)
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"the focus on {selector} is not visible"
                return
        raise AssertionError(f"{key} does not lead to {selector}")

    page.evaluate("() => document.activeElement.blur()")
    for selector in ("#theme", "#model", "#compare", "summary", "#message"):
        tab_to(selector)
    keyboard.type(MESSAGE)
    keyboard.press("Enter")
    opened.finished()
    tab_to(".token", "Shift+Tab")
    for key, number in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", page.locator(".token").count()),
                        ("Home", 1)):
        keyboard.press(key)
        assert page.inner_text(".routing p").startswith(f"Token {number},"), page.inner_text(".routing p")
    keyboard.press("ArrowDown")
    assert not page.inner_text(".routing p").startswith("Token 1,"), "a token in the next line"
    label = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert "experts" in label, label
    assert page.text_content(".tokens").split()[0] in page.text_content("#announcer"), "answers are announced"
    tab_to("#message")
    opened.set(2000)
    page.focus("#message")
    keyboard.type("Tell a long story.")
    keyboard.press("Enter")
    page.wait_for_selector(".answers:last-child .token")
    keyboard.press("Escape")
    opened.finished()
    assert "stopped" in page.inner_text(".answers:last-child .state"), page.inner_text(".answers:last-child .state")
    opened.close()


def two_models_answer_side_by_side(browser, arguments, routed, other):
    opened = Page(browser, arguments)
    page = opened.page
    opened.set()
    page.select_option("#model", routed["id"])
    page.select_option("#compare", other["id"])
    opened.ask()
    opened.finished()
    names = page.locator(".answer h3").all_inner_texts()
    assert names == [routed["id"], other["id"]], names
    boxes = [page.locator(".answer").nth(i).bounding_box() for i in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"], boxes
    for number, model in enumerate((routed, other)):
        text = page.locator(".answer .tokens").nth(number).text_content()
        alone = api(arguments, "v1/chat/completions", {
            "model": model["id"], "messages": [{"role": "user", "content": MESSAGE}], "temperature": 0, "seed": 1,
            "max_tokens": TOKENS})
        assert text == alone["choices"][0]["message"]["content"], f"{model['id']} answers as it does alone"
        if (model["adamole"] or {}).get("linears"):
            page.locator(".answer").nth(number).locator(".token").nth(3).hover()
            assert cells(page, number)
    opened.ask("And the sun?")
    opened.finished()
    assert page.locator(".answer").count() == 4
    page.evaluate("() => window.scrollTo(0, 0)")
    page.screenshot(path=arguments.pictures / "desktop.png")
    opened.close()


def a_phone_has_room(browser, arguments, routed, other):
    opened = Page(browser, arguments, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = opened.page
    opened.set()
    page.select_option("#model", routed["id"])
    page.select_option("#compare", other["id"])

    def fits(where):
        wide = page.evaluate("""() => [...document.querySelectorAll('body *')]
            .filter((it) => it.getBoundingClientRect().right > 361 && !it.closest('.unseen')).map((it) => it.outerHTML.slice(0, 90))""")
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 360 and not wide, f"{where}: {width} pixels, {wide[:3]}"

    fits("before a message")
    opened.ask()
    opened.finished()
    fits("with answers")
    page.locator(".token").nth(5).tap()
    assert page.inner_text(".routing p").startswith("Token 6,")
    fits("with a heat map")
    page.locator(".answer").first.scroll_into_view_if_needed()
    page.screenshot(path=arguments.pictures / "narrow.png")
    page.eval_on_selector("#settings details", "details => { details.open = true; }")
    fits("with all settings")
    opened.close()


def themes_follow_the_system_and_the_switch(browser, arguments, routed):
    grounds = {}
    ground = "() => getComputedStyle(document.body).backgroundColor"
    for scheme in ("light", "dark"):
        opened = Page(browser, arguments, color_scheme=scheme)
        page = opened.page
        grounds[scheme] = page.evaluate(ground)
        opened.set()
        page.select_option("#model", routed["id"])
        opened.ask()
        opened.finished()
        page.locator(".token").nth(4).hover()
        contrasts_are_enough(page)
        if scheme == "dark":
            page.screenshot(path=arguments.pictures / "dark.png")
            page.select_option("#theme", "light")
            assert page.evaluate(ground) == grounds["light"], "the switch wins over the system"
            page.reload()
            assert page.evaluate(ground) == grounds["light"], "the switch is kept"
        opened.close()
    assert grounds["light"] != grounds["dark"], grounds


def contrasts_are_enough(page):
    """4.5 to 1, as WCAG asks of text, for everything with text of its own."""
    poor = page.evaluate("""() => {
        const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const light = (colour) => channels(colour).slice(0, 3).map((value) => value / 255)
            .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
            .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (it) => {
            const own = getComputedStyle(it).backgroundColor;
            return channels(own)[3] === 0 && it.parentElement ? ground(it.parentElement) : own;
        };
        const found = [];
        for (const it of document.querySelectorAll('body *')) {
            const text = [...it.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
            if (!text || it.matches(':disabled, option, noscript, .unseen *') || !it.checkVisibility()) continue;
            const [a, b] = [light(getComputedStyle(it).color), light(ground(it))].sort((x, y) => y - x);
            if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${it.className} ${it.textContent.slice(0, 20)} ${(a + 0.05) / (b + 0.05)}`);
        }
        return found;
    }""")
    assert not poor, poor[:5]


def an_error_is_said_in_words(browser, arguments, routed):
    opened = Page(browser, arguments)
    page = opened.page
    page.select_option("#model", routed["id"])
    opened.ask("word " * (routed["max_model_len"] + 10))
    page.wait_for_selector(".failed")
    said = page.inner_text(".failed")
    assert str(routed["max_model_len"]) in said and "Try again" in said, said
    opened.wrong.clear()  # the browser reports the answer 400
    opened.finished()
    opened.set(8)
    opened.ask("Hello")
    opened.finished()
    assert page.locator(".answers:last-child .token").count() > 0, "the conversation goes on"
    opened.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--pictures", required=True, type=pathlib.Path)
    parser.add_argument("--chromium", help="the program; that of the system without it")
    parser.add_argument("--api-key")
    parser.add_argument("--allow-skip", action="store_true", help="end well where Chromium is missing")
    arguments = parser.parse_args()
    arguments.base_url = arguments.base_url.rstrip("/")
    program = arguments.chromium or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program, missing = None, "the package playwright is missing"
    else:
        missing = "Chromium is missing; --chromium names it"
    if not program:
        print(f"skipped: {missing}")
        return 0 if arguments.allow_skip else 2
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    models = api(arguments, "v1/models")["data"]
    routes = lambda model: bool((model["adamole"] or {}).get("linears"))
    routed = max(models, key=lambda model: (routes(model), bool((model["adamole"] or {}).get("thresholds"))))
    assert routes(routed), "the server has no adapter that routes"
    others = [model for model in models if model is not routed]
    assert others, "the server has one model, and two are compared"
    other = max(others, key=routes)
    checks = [
        (an_answer_appears_token_by_token_with_the_numbers_of_the_api, ()), (the_keyboard_is_enough, ()),
        (two_models_answer_side_by_side, (other,)), (a_phone_has_room, (other,)),
        (themes_follow_the_system_and_the_switch, ()), (an_error_is_said_in_words, ()),
    ]
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for check, more in checks:
            name = check.__name__.replace("_", " ")
            try:
                check(browser, arguments, routed, *more)
                print(f"ok    {name}")
            except Exception as error:  # noqa: BLE001 - each check is reported
                failed += 1
                print(f"FAIL  {name}: {type(error).__name__}: {str(error)[:1500]}")
        browser.close()
    print(f"{failed} checks failed" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
