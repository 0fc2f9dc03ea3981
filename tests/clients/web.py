#!/usr/bin/env python3
"""The page against a server: python3 tests/clients/web.py [--url http://127.0.0.1:8000]

Needs `pip install playwright` and a Chromium (Debian's chromium will do). Uses the page as people
do, and compares what it shows with what the API answers. Errors on the console and violations of
the page's security policy fail it. --screenshots DIR keeps pictures to look at.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time
import urllib.request

from playwright.sync_api import sync_playwright

HOSTILE = '<img src=x onerror="hacked=1"><script>hacked=1</script>[x](javascript:hacked=1)'
QUESTION = "Write a function that adds two numbers."
ANSWERED = "#send:not([hidden])"


class Page:
    """A browser's page, and what went wrong on it."""

    def __init__(self, browser, url, width=1280, height=860, scheme="light", **more):
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        self.page = self.context.new_page()
        self.problems = []
        # A request that the server refuses is an error to the browser, too; tests of those say so.
        self.page.on("console", lambda said: self.problems.append(said.text)
                     if said.type in ("error", "warning") and "Failed to load resource" not in said.text else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.problems.append(f"asks {request.url}")
                     if not request.url.startswith((url, "blob:", "data:")) else None)
        self.page.goto(url)
        self.until(lambda: self.page.text_content("#model") != "")

    def until(self, condition):
        # The policy also keeps the browser's own waiting for a function from running one.
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it never came to be"
            self.page.wait_for_timeout(20)

    def say(self, text, wait=True):
        self.page.fill("#input", text)
        self.page.press("#input", "Enter")
        if wait:
            self.wait()

    def wait(self):
        self.page.wait_for_selector(ANSWERED, timeout=300_000)

    def set(self, **values):
        for name, value in values.items():
            field = self.page.locator(f"#s-{name}")
            (field.select_option if name in ("mode", "enable_thinking") else field.fill)(str(value))

    def exported(self):
        with self.page.expect_download() as download:
            self.page.click("#export")
        return json.loads(pathlib.Path(download.value.path()).read_text())["conversations"]

    def close(self):
        self.context.close()
        assert not self.problems, self.problems


def ask(url, body):
    request = urllib.request.Request(url + "v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=300))["choices"][0]["message"]["content"]


def answers_are_the_api_s(one, url):
    """Whatever the mode: text, tokens of the passes, and again after "Answer again"."""
    page = one.page
    page.click("#open-settings")
    for mode in ("auto", "dual", "ar"):
        one.set(mode=mode, max_tokens=48, temperature=0.8, seed=7, system="Be brief.")
        page.click("#new")
        one.say(QUESTION)
        expected = ask(url, {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
                             "max_tokens": 48, "temperature": 0.8, "seed": 7})
        answer = one.exported()[0]["messages"][1]
        assert answer["content"] == expected, (mode, answer["content"], expected)
        assert answer["error"] is None, answer["error"]
        assert sum(step["tokens"] for step in answer["passes"]) == answer["usage"]["completion_tokens"]
        assert sum(step["content"] for step in answer["passes"]) == len(expected.encode("utf-16-le")) // 2
        assert all(step["drafted"] == 0 for step in answer["passes"]) or mode != "ar"
        page.hover(".message:last-child")
        page.click(".message:last-child [aria-label='Answer again']")
        one.wait()
        assert one.exported()[0]["messages"][1]["content"] == expected
    page.click("#close-settings")


def passes_are_coloured(one):
    page = one.page
    page.click("#show-passes")
    one.say("Once more.")
    answer = one.exported()[0]["messages"][-1]
    shown = page.eval_on_selector_all(".message:last-child .answer .pass", "all => all.map((one) => Number(one.dataset.pass))")
    assert shown == sorted(shown) and shown[-1] < len(answer["passes"]), shown
    page.hover(f".message:last-child [data-pass='{shown[0]}'] >> nth=0")
    first = answer["passes"][shown[0]]
    tip = page.text_content("#tip")
    assert f"{first['tokens']} token" in tip, tip
    figures = page.locator(".message:last-child .pass-panel dd").all_text_contents()
    assert len(figures) == 4 and float(figures[2]) > 0, figures


def stop_keeps_what_is_there(one):
    page = one.page
    page.click("#new")
    page.click("#open-settings")
    one.set(max_tokens=1500)
    page.click("#close-settings")
    one.say(QUESTION, wait=False)
    one.until(lambda: len(page.text_content(".message:last-child .answer")) > 5)
    page.keyboard.press("Escape")
    one.wait()
    assert page.locator(".message:last-child .note").text_content() == "Stopped."
    stopped = one.exported()[0]["messages"][1]
    assert stopped["finish"] == "stopped" and stopped["content"]
    # And writes on from there.
    page.click("#open-settings")
    one.set(max_tokens=8)
    page.click("#close-settings")
    page.hover(".message:last-child")
    page.click(".message:last-child [aria-label='Write on from the end']")
    one.wait()
    assert one.exported()[0]["messages"][1]["content"].startswith(stopped["content"])


def edits_go_on_from_there(one):
    page = one.page
    page.click("#new")
    one.say("first")
    one.say("second")
    page.focus("#input")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+A")
    page.keyboard.type("third")
    page.keyboard.press("Enter")
    one.until(lambda: page.locator(".said").all_text_contents()[1:] == ["third"])
    one.wait()
    assert [message["content"] for message in one.exported()[0]["messages"][::2]] == ["first", "third"]


def errors_are_told(one):
    page = one.page
    page.route("**/v1/chat/completions", lambda route: route.abort())
    one.say("lost")
    assert "cannot be reached" in page.text_content(".message:last-child .error")
    page.unroute("**/v1/chat/completions")
    one.say("x" * 400_000)
    assert page.text_content(".message:last-child .error")
    one.problems[:] = [said for said in one.problems if "ERR_FAILED" not in said]


def hostile_text_stays_text(one):
    page = one.page
    page.click("#new")
    one.say(HOSTILE)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"format": "orthrus-conversations", "version": 1, "conversations": [
            {"title": HOSTILE, "updated": 9e15, "messages": [
                {"role": "user", "content": HOSTILE},
                {"role": "assistant", "content": HOSTILE, "reasoning": HOSTILE, "error": HOSTILE,
                 "tool_calls": [{"id": HOSTILE, "name": HOSTILE, "arguments": HOSTILE}]}]}]}, file)
        file.flush()
        page.set_input_files("#import-file", file.name)
        page.click(f"#conversations .open >> text={HOSTILE[:20]} >> nth=0")
    page.wait_for_selector(".message .call")
    assert page.locator("#thread img, #thread script, #thread a, #sidebar script, #conversations img").count() == 0
    assert page.evaluate("window.hacked") is None


def conversations_outlive_the_page(one):
    page = one.page
    before = page.locator("#conversations .open").all_text_contents()
    page.reload()
    one.until(lambda: page.locator("#conversations .open").all_text_contents() == before)


def fits_a_phone(browser, url, pictures):
    one = Page(browser, url, 390, 844, has_touch=True, is_mobile=True, device_scale_factor=2)
    one.page.evaluate("localStorage.setItem('orthrus.settings', '{\"max_tokens\": 60}')")
    one.page.reload()
    one.say(QUESTION + " " + "and-a-very-long-word" * 20)
    one.page.click("#show-passes")
    for picture in ("phone", "phone-list", "phone-settings"):
        if picture == "phone-list":
            one.page.click("#open-sidebar")
        if picture == "phone-settings":
            one.page.keyboard.press("Escape")
            one.page.click("#open-settings")
        one.page.wait_for_timeout(300)
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 390, picture
        shoot(one, pictures, picture)
    one.close()


def is_dark_when_asked(browser, url, pictures):
    one = Page(browser, url, scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = one.page.evaluate(background)
    one.page.click("#theme")
    light = one.page.evaluate(background)
    one.page.click("#theme")
    assert one.page.evaluate(background) == dark != light
    shoot(one, pictures, "dark")
    one.close()


def shoot(one, pictures, name):
    if pictures:
        one.page.screenshot(path=pictures / f"{name}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--screenshots", type=pathlib.Path)
    args = parser.parse_args()
    url = args.url.rstrip("/") + "/"
    if args.screenshots:
        args.screenshots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        one = Page(browser, url)
        for check in (lambda: answers_are_the_api_s(one, url), lambda: passes_are_coloured(one),
                      lambda: stop_keeps_what_is_there(one), lambda: edits_go_on_from_there(one),
                      lambda: errors_are_told(one), lambda: hostile_text_stays_text(one),
                      lambda: conversations_outlive_the_page(one)):
            check()
            print("passed:", check.__code__.co_names[0].replace("_", " "), flush=True)
        shoot(one, args.screenshots, "light")
        one.close()
        for check in (fits_a_phone, is_dark_when_asked):
            check(browser, url, args.screenshots)
            print("passed:", check.__name__.replace("_", " "), flush=True)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
