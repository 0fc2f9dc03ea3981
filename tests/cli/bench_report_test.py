#!/usr/bin/env python3
"""Tests of the page that `orthrus bench --report` writes: bench_report_test.py ORTHRUS MODELS DATA."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ORTHRUS, MODELS, DATA = sys.argv[1:4]
TINY_CODE = ["-m", f"{MODELS}/tiny-code"]


def run(*arguments):
    return subprocess.run([ORTHRUS, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=120)


def text_of(element):
    return "".join(element.itertext())


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.directory.name)
        self.file = self.folder / "report.html"

    def tearDown(self):
        self.directory.cleanup()

    def report(self, *arguments):
        """The page as XML, and what --json says."""
        result = run(*arguments, "--report", self.file, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"report: {self.file}", result.stderr)
        page = self.file.read_text("utf-8")
        self.assertTrue(page.startswith("<!DOCTYPE html>"))
        # Nothing is loaded, and nothing runs.
        root = ElementTree.fromstring(page)
        for element in root.iter():
            self.assertNotIn(element.tag, ("script", "link", "img", "iframe", "object", "embed", "base"))
            self.assertFalse([name for name in element.keys() if name.startswith("on") or name == "src"])
        self.assertNotRegex(root.find("head/style").text, r"@import|url\(|://")
        for link in root.iter("a"):
            self.assertTrue(link.get("href").startswith("#"))
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        self.assertEqual(len(ids), len(set(ids)))
        for link in root.iter("a"):
            self.assertIn(link.get("href")[1:], ids)
        for svg in root.iter("svg"):
            self.assertTrue(svg.get("aria-label"))
        return root, json.loads(result.stdout)

    def prompts(self, *texts):
        file = self.folder / "prompts"
        file.write_text("".join(json.dumps(text) + "\n" for text in texts))
        return ["--prompts", file]

    def section(self, root, name):
        return root.find(f".//section[@id='{name}']")

    def facts(self, root):
        """How it was run, as the page says."""
        return {text_of(row.find("dt")): text_of(row.find("dd")) for row in self.section(root, "run").iter("div")}

    def sources(self, root):
        """What drafts may come from, of that."""
        facts = self.facts(root)
        return [facts[name] for name in ("block size", "tree nodes", "lookup")]

    def values(self, element):
        return [float(data.get("value")) for data in element.iter("data")]

    def answers(self, root):
        """Of each text its coloured and its other pieces."""
        for answer in root.findall(".//details[@class='answer']"):
            yield answer.find("div/div[@class='text']")

    def test_numbers_are_those_of_json(self):
        texts = ["def f(x):\n", "import os\n", "class Stack:\n    def __init__(self):\n"]
        root, told = self.report(*TINY_CODE, *self.prompts(*texts), "-n", 48, "--repeat", 2, "--ignore-eos")
        rows = self.section(root, "speed").findall(".//tbody")[0].findall("tr")
        self.assertEqual(len(rows), 3)
        for row, text, of_json in zip(rows, texts, told["prompts"]):
            self.assertEqual(text_of(row.find("th")), " ".join(text.split()) + " " * text.endswith("\n"))
            wanted = [of_json[name] for name in ("ar_tokens_per_second", "tokens_per_second", "ratio",
                                                 "tokens_per_forward", "acceptance_length")]
            for got, want in zip(self.values(row), wanted):
                self.assertAlmostEqual(got, want, delta=1e-9 * abs(want))
        tiles = root.find(".//ul[@class='tiles']")
        self.assertEqual(self.values(tiles), [told["geometric_mean_of_ratios"], told["tokens_per_second"],
                                              told["ar_tokens_per_second"], told["tokens_per_forward"],
                                              told["acceptance_length"]])
        self.assertIn("yes", text_of(tiles))
        # Cycles by source, of all repetitions.
        decisions = told["decisions"]
        by_source = {}
        for row in self.section(root, "drafts").findall(".//tbody")[0].findall("tr"):
            by_source[text_of(row.find("th"))] = [int(text_of(cell).replace(",", ""))
                                                  for cell in row.findall("td")[:5]]
        drafted = [by_source.get(name, [0])[0] for name in ("draft blocks", "draft trees")]
        self.assertEqual(sum(drafted), sum(decisions["drafted"][1:]))
        self.assertEqual(by_source.get("plain steps", [0])[0], decisions["drafted"][0])
        self.assertEqual(by_source.get("leftover drafts", [0])[0], sum(decisions["leftover"]))
        self.assertEqual(by_source.get("lookup drafts", [0])[0], sum(decisions["lookup"]))
        self.assertEqual(by_source["all"][3], decisions["accepted"])
        self.assertEqual(by_source["all"][4], 2 * 3 * 47)
        # Texts: each token is an element, accepted ones in a cycle of their own.
        for text in self.answers(root):
            self.assertEqual(len(list(text.iter("i"))) + len(list(text.iter("u"))), 48)
        self.assertTrue(list(self.section(root, "roofline").iter("svg")))

    def test_settings_are_those_of_json(self):
        root, told = self.report(*TINY_CODE, *self.prompts("x"), "-n", 4, "--repeat", 1, "--temperature", 0.7,
                                 "--draft-weights", "q8_0", "--seed", 9)
        wanted = {"draft weights": "Q8_0", "temperature": "0.7", "lookup": "yes", "seed": "9"}
        facts = self.facts(root)
        self.assertLessEqual(wanted.items(), facts.items())
        settings = list(told)[:list(told).index("prompts")]
        self.assertEqual({name.replace("_", " ") for name in settings}, facts.keys() - {"command", "date"})
        for name in settings:
            if not isinstance(told[name], bool):
                self.assertEqual(str(told[name]).removesuffix(".0"), facts[name.replace("_", " ")].removesuffix(".0"))

    def test_the_text_is_what_generate_gives(self):
        prompt = "def fibonacci(n):\n"
        root, _ = self.report(*TINY_CODE, *self.prompts(prompt), "-n", 40, "--repeat", 1, "--temperature", 0)
        generated = subprocess.run([ORTHRUS, "generate", *TINY_CODE, "-p", prompt, "-n", "40", "--temperature", "0",
                                    "--quiet"], capture_output=True, text=True, timeout=120).stdout
        shown = text_of(next(self.answers(root)))
        self.assertTrue(shown.startswith(generated.rstrip("\n")), (shown, generated))

    def test_dual_with_trees(self):
        root, told = self.report(*TINY_CODE, *self.prompts("def f(x):\n"), "-n", 40, "--repeat", 1, "--mode", "dual",
                                 "--tree-nodes", 16)
        self.assertIn("draft trees", text_of(self.section(root, "drafts")))
        self.assertEqual(self.sources(root), ["16", "16", "no"])
        acceptance = self.section(root, "acceptance")
        self.assertIn("the likeliest in its place", text_of(acceptance))
        places = [[int(text_of(cell)) for cell in row] for row in acceptance.findall(".//tbody/tr")]
        self.assertEqual(sum(accepted for _, _, accepted in places), told["decisions"]["accepted"])

    def test_without_drafts(self):
        root, told = self.report("-m", f"{DATA}/golden/tied", "--prompt-ids", "5,6,7", "-n", 12, "--repeat", 1,
                                 "--lookup", "off", "--block-size", 4)
        self.assertIsNotNone(self.section(root, "texts"))
        self.assertEqual(self.sources(root), ["4", "32", "no"])
        self.assertEqual(len(re.findall(r"\d+", text_of(next(self.answers(root))))), 12)

    def test_prompts_are_text_only(self):
        hostile = "</script><b onclick=\"x\">&amp;\u202e\x00\x1b[31m'\"]]>"
        root, _ = self.report(*TINY_CODE, *self.prompts(hostile, "x"), "-n", 4, "--repeat", 1)
        shown = text_of(root.find(".//details[@class='prompt']/div"))
        self.assertEqual(shown, hostile.replace("\u202e", "[U+202E]").replace("\x00", "\u2400").replace("\x1b", "\u241b"))

    def test_paths_are_checked_before_anything_is_measured(self):
        read_only = self.folder / "read-only"
        read_only.write_text("mine")
        read_only.chmod(0o400)
        cases = [self.folder, self.folder / "missing" / "report.html", "/dev/null"]
        if os.geteuid() != 0:  # who may write anything
            cases.append(read_only)
        for path in cases:
            result = run(*TINY_CODE, "--report", path)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"Cannot write {path}: ", result.stderr)
            self.assertEqual(result.stdout, "")
        self.assertEqual(run(*TINY_CODE, "--report", "").returncode, 2)
        self.assertEqual(run(*TINY_CODE, "--roofline", "--report", self.file).returncode, 2)
        self.assertEqual(sorted(file.name for file in self.folder.iterdir()), ["read-only"])

    def test_another_file_is_replaced(self):
        self.file.write_text("an older one")
        self.report(*TINY_CODE, *self.prompts("x"), "-n", 4, "--repeat", 1)
        self.assertEqual([file.name for file in self.folder.iterdir() if "report" in file.name], ["report.html"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
