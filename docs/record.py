#!/usr/bin/env python3
"""Draws docs/run.svg, the README's picture: a run in a room, as `examples/watch.rs` prints it.

Run `python3 docs/record.py` in the repository. It starts the sandbox, `tool_bot` with its fixed answers, and `watch`. A user
asks for something and grants a permission. The picture shows the lines of `watch` with the pauses between them.
Needs only Python 3.9 and Rust.
"""

import html
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request

FOLDER = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(FOLDER, "..", "target"))
COLOURS = {"1": "bold", "2": "dim", "31": "red", "33": "yellow", "35": "magenta", "36": "cyan"}
LINE, LEFT, TOP, WIDTH = 21, 18, 62, 760


def build():
    for arguments in (["-p", "crustocean-sandbox"], ["--example", "tool_bot", "--example", "watch"]):
        subprocess.run(["cargo", "build", "--quiet", *arguments], cwd=os.path.join(FOLDER, ".."), check=True)


def start(program, **environment):
    """Starts a program and collects its lines, each with its time."""
    process = subprocess.Popen(
        [os.path.join(TARGET, "debug", program[0]), *program[1:]],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment},
    )
    lines, came = [], threading.Condition()

    def collect():
        for line in process.stdout:
            with came:
                lines.append((time.monotonic(), line.rstrip("\n")))
                came.notify_all()

    threading.Thread(target=collect, daemon=True).start()

    def wait_for(text):
        with came:
            found = came.wait_for(lambda: [line for _, line in lines if text in line], timeout=30)
        if not found:
            raise SystemExit(f"{program[0]} did not print {text!r}")
        return found[0]

    return process, lines, wait_for


def ask(url, what, **fields):
    data = urllib.parse.urlencode(fields).encode()
    with urllib.request.urlopen(f"{url}/_sandbox/{what}", data) as answer:
        return json.load(answer)


def record():
    sandbox, _, said = start(["crustocean-sandbox", "--demo", "--quiet", "--port", "0"])
    programs = [sandbox]
    try:
        url = re.search(r"http://[0-9.:]+", said("CRUSTOCEAN_API_URL")).group()
        watcher = ask(url, "agent", name="watcher", owner="alice")["token"]
        worker = ask(url, "agent", name="larry", owner="alice")["token"]
        watch, lines, shown = start(["examples/watch"], CRUSTOCEAN_API_URL=url, AGENT_TOKEN=watcher)
        bot, _, _ = start(["examples/tool_bot"], CRUSTOCEAN_API_URL=url, AGENT_TOKEN=worker)
        programs += [watch, bot]
        wait_until_joined(url, 2)
        begin = time.monotonic()
        ask(url, "say", **{"as": "alice", "text": "@larry roll a die and write down what it shows"})
        shown("may I?")
        time.sleep(1.5)
        ask(url, "permission", decision="approve")
        shown("└")
        return [(at - begin, line) for at, line in lines]
    finally:
        for program in programs:
            program.terminate()


def wait_until_joined(url, count):
    for _ in range(300):
        with urllib.request.urlopen(f"{url}/_sandbox/events") as answer:
            if answer.read().decode().count("join-agency") >= count:
                return
        time.sleep(0.1)
    raise SystemExit("the agents did not join the lobby")


def spans(line):
    """The parts of a line as SVG, with its ANSI colours as classes."""
    style, parts = "", []
    for part in re.split(r"(\x1b\[\d+m)", line):
        if code := re.fullmatch(r"\x1b\[(\d+)m", part):
            style = COLOURS.get(code.group(1), "")
        elif part:
            text = html.escape(part if len(part) <= 82 else part[:81] + "…")
            parts.append(f'<tspan class="{style}">{text}</tspan>' if style else text)
    return "".join(parts)


def draw(lines):
    # The recorded times, but each line stays long enough to be read.
    at, shown = 0.3, []
    for when, line in lines:
        at = max(at + 0.45, min(when, at + 1.6))
        shown.append((at, line))
    height = TOP + LINE * len(shown) + 6
    rows = "\n".join(
        f'<text x="{LEFT}" y="{TOP + LINE * row}" style="animation-delay:{at:.2f}s" xml:space="preserve">{spans(line)}</text>'
        for row, (at, line) in enumerate(shown)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="A run in a room, step by step">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d7dce2; opacity: 0; animation: show .15s forwards }}
.bold {{ font-weight: bold; fill: #ffffff }} .dim {{ fill: #8b949e }} .red {{ fill: #ff7b72 }} .yellow {{ fill: #e3b341 }}
.magenta {{ fill: #d2a8ff }} .cyan {{ fill: #56d4dd }}
@keyframes show {{ to {{ opacity: 1 }} }}
@media (prefers-reduced-motion: reduce) {{ text {{ animation: none; opacity: 1 }} }}
</style>
<rect width="{WIDTH}" height="{height}" rx="9" fill="#14181f"/>
<circle cx="20" cy="20" r="6" fill="#ff5f57"/><circle cx="40" cy="20" r="6" fill="#febc2e"/><circle cx="60" cy="20" r="6" fill="#28c840"/>
{rows}
</svg>
"""


if __name__ == "__main__":
    build()
    with open(os.path.join(FOLDER, "run.svg"), "w", encoding="utf-8") as picture:
        picture.write(draw(record()))
