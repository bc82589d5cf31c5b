"""What the search for known secrets costs: how fast it goes through text, and what it adds to one entry."""
import json
import subprocess

from report import table

VALUES = 10_000
TARGET = 200


def hygiene(context):
    runs = str(context.number(9, 5))
    rows = []
    for values in (100, VALUES):
        answer = subprocess.run(
            [context.program("hygiene-scan"), "--values", str(values), "--runs", runs],
            check=True, capture_output=True, text=True)
        rows.append(json.loads(answer.stdout))
    lines = [
        [f"{row['values']:,}", f"{row['slowestMBs']:.0f}", f"{row['medianMBs']:.0f}", f"{row['fastestMBs']:.0f}",
         f"{row['entryMicroseconds']:.1f}", f"{row['compileSeconds']:.2f}"]
        for row in rows
    ]
    last = rows[-1]
    parts = [
        table(["values", "slowest, MB/s", "median, MB/s", "fastest, MB/s", "an entry of 1,000 bytes, µs",
               "compiling all values, s"], lines),
        "Text as evidence is, 64 MB in a run, one line in a thousand with a known value; every form of every value is "
        "looked for. Processor time of one core.",
    ]
    reached = last["slowestMBs"] >= TARGET and last["found"] >= last["planted"]
    return parts, [[f"{VALUES:,} values on one core", f"≥ {TARGET} MB/s", f"{last['slowestMBs']:.0f} MB/s at worst",
                    reached]]
