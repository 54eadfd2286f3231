#!/usr/bin/env python3
"""Replays the recorded conformance cases and holds the outcome against the floors.

    tests/conformance/check.py --suite ../shared/conformance \\
        --candidate 'target/debug/front-proxy -c {config} --concurrency 1' [--update]

`floors.json` says how many cases of each tier and of each area pass, and which ones do not yet. A
count below its floor is a failure. Floors only rise: `--update` raises them to what passed now, and
does nothing where anything is below. `divergences.json` names the cases where another behaviour is
meant, each with its reason.

A case that fails and is not known to is asked once more, one at a time: some cases watch
timeouts, and a busy machine makes them late.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main():
    args = arguments()
    floors = json.loads(args.floors.read_text())
    divergences = json.loads(args.divergences.read_text())

    cases = replay(args, [])
    known = set(floors["open"]) | set(divergences)
    again = [id for id, case in cases.items() if not case["pass"] and id not in known]
    if again:
        print(f"\nonce more, one at a time: {' '.join(again)}", flush=True)
        cases.update(replay(args, again))

    counts = count(cases, divergences)
    failing = [id for id, case in cases.items() if not case["pass"] and id not in divergences]
    below = compare(counts, floors)
    newly = [id for id in failing if id not in floors["open"]]
    fixed = [id for id in floors["open"] if id in cases and cases[id]["pass"]]
    needless = [id for id in divergences if id in cases and cases[id]["pass"]]

    for id in newly:
        print(f"newly failing: {id}: {reason(cases[id])}")
    for id in needless:
        print(f"passes, though divergences.json declares it: {id}")
    for line in below:
        print(f"below the floor: {line}")
    for kind in ("tiers", "areas"):
        for name, (passed, _) in sorted(counts[kind].items()):
            if passed > floors[kind].get(name, 0):
                print(f"the floor of {kind[:-1]} {name} could be raised to {passed}")

    if args.update and not below:
        raise_floors(args.floors, floors, counts, failing)
    elif fixed:
        print(f"no longer failing: {' '.join(fixed)}\n--update takes them from {args.floors.name}")
    return 1 if below else 0


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", type=pathlib.Path, required=True, help="folder with run.py")
    parser.add_argument("--candidate", required=True, help="command with {config}")
    parser.add_argument("--floors", type=pathlib.Path, default=HERE / "floors.json")
    parser.add_argument("--divergences", type=pathlib.Path, default=HERE / "divergences.json")
    parser.add_argument("--budget", type=int, default=900, help="seconds for one replay")
    parser.add_argument("--workers", type=int, default=4, help="cases at a time")
    parser.add_argument("--update", action="store_true", help="raise the floors to what passes")
    return parser.parse_args()


def replay(args, only):
    """Runs the suite; the cases by id. The suite's own exit status says less than its report."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [sys.executable, str(args.suite / "run.py"), "--candidate", args.candidate]
        command += ["--json", str(report), "--budget", str(args.budget)]
        command += ["--divergences", str(args.divergences)]
        command += ["--workers", "1" if only else str(args.workers)]
        for id in only:
            command += ["--only", id]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if not report.exists():
            sys.exit(f"{ran.stdout}\nthe suite left no report (exit status {ran.returncode})")
        return {case["id"]: case for case in json.loads(report.read_text())["cases"]}


def count(cases, divergences):
    """Passed and all cases of each tier and area; declared divergences are in neither."""
    counts = {"tiers": collections.defaultdict(lambda: [0, 0])}
    counts["areas"] = collections.defaultdict(lambda: [0, 0])
    for id, case in cases.items():
        if id in divergences and not case["pass"]:
            continue
        for row in (counts["tiers"][str(case["tier"])], counts["areas"][case["area"]]):
            row[0] += case["pass"]
            row[1] += 1
    return counts


def compare(counts, floors):
    """Prints the table; the lines that are below their floors."""
    below = []
    print(f"\n{'':<12} {'passed':>6} {'of':>4} {'floor':>6}")
    for kind in ("areas", "tiers"):
        for name in sorted(set(counts[kind]) | set(floors[kind])):
            passed, total = counts[kind].get(name, [0, 0])
            floor = floors[kind].get(name, 0)
            label = f"tier {name}" if kind == "tiers" else name
            mark = "  <-- below" if passed < floor else ""
            print(f"{label:<12} {passed:>6} {total:>4} {floor:>6}{mark}")
            if mark:
                below.append(f"{label}: {passed} passed, {floor} must")
    passed = sum(row[0] for row in counts["tiers"].values())
    total = sum(row[1] for row in counts["tiers"].values())
    print(f"{'all':<12} {passed:>6} {total:>4} {sum(floors['tiers'].values()):>6}\n")
    return below


def reason(case):
    kind, text = case["hard"][0]
    return f"[{kind}] {text}"[:300]


def raise_floors(path, floors, counts, failing):
    for kind in ("tiers", "areas"):
        for name, (passed, _) in counts[kind].items():
            floors[kind][name] = max(passed, floors[kind].get(name, 0))
        floors[kind] = dict(sorted(floors[kind].items()))
    floors["open"] = sorted(failing)
    path.write_text(json.dumps(floors, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
