"""The page of results: a section for each measurement, which is replaced alone when it is measured again."""
import dataclasses
import os
import platform
import time

HEAD = """# Benchmarks

Written by `script/bench`, which measures everything again; `script/bench --only NAME,…` replaces single sections. All of
it runs on one machine, in network namespaces that the run makes. Peers run beside AW in the same run, on the same wire,
and repeated measurements take turns; what is shown is the median. Ratios carry to other machines, figures do not.
"""
MUST = "| must reach | target | measured | |"
REACHED, MISSED = "reached", "**missed**"


def machine():
    with open("/proc/cpuinfo") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (f"{time.strftime('%Y-%m-%d %H:%M')} UTC, {os.cpu_count()} × {model}, {platform.system()} "
            f"{platform.release()}, load before: {load}")


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows])


@dataclasses.dataclass
class Section:
    """What one measurement found. A target is (what, target, measured, whether it was reached)."""
    title: str
    parts: list
    targets: list = dataclasses.field(default_factory=list)

    def text(self, where):
        parts = [f"## {self.title}", where + "."] + self.parts
        if self.targets:
            rows = [f"| {what} | {target} | {measured} | {REACHED if good else MISSED} |"
                    for what, target, measured, good in self.targets]
            parts.append("\n".join([MUST, "| --- | --- | --- | --- |"] + rows))
        return "\n\n".join(parts) + "\n"


def sections_of(page):
    """The sections of a page by their titles, in their order."""
    found = {}
    for piece in ("\n" + page).split("\n## ")[1:]:
        found[piece.split("\n", 1)[0]] = "## " + piece.rstrip() + "\n"
    return found


def targets_of(text):
    """The rows of a section's table of targets: (what, verdict)."""
    if MUST not in text:
        return []
    rows = text.split(MUST, 1)[1].strip().split("\n")[1:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]
    return [(row[0], row[-1]) for row in cells]


def replace(path, section_text, order):
    """Puts a section in its place, and counts anew what was reached."""
    page = ""
    if os.path.exists(path):
        with open(path) as file:
            page = file.read()
    sections = sections_of(page)
    sections[section_text.split("\n", 1)[0][3:]] = section_text
    places = {title: place for place, title in enumerate(order)}
    texts = [sections[title] for title in sorted(sections, key=lambda title: places.get(title, len(order)))]
    with open(path + ".new", "w") as file:
        file.write("\n".join([HEAD, summary(texts)] + texts))
    os.replace(path + ".new", path)


def summary(texts):
    targets = [target for text in texts for target in targets_of(text)]
    missed = [what for what, verdict in targets if verdict != REACHED]
    line = f"Of {len(targets)} targets {len(targets) - len(missed)} are reached."
    return line + (f" Missed: {'; '.join(missed)}.\n" if missed else "\n")
