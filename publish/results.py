"""The published results: gathered from runs into asset/results/, a file per setting for all its seeds, and read."""
from itertools import product
from pathlib import Path

from common.files import ROOT, digest, read_json, shipped_weights, write_json
from publish import FRAMEWORKS, MODELS, spread
from publish.speed import MACHINE, timed

ASSET = ROOT / "asset"
USUAL_NUM, ENOUGH, EDITED = 10_000, 1_000, 200  # images of a usual result, the fewest of any, and those edited
PLACES = list(product(MODELS, FRAMEWORKS))  # the order of the tables


def weights_of(result):
    """The file of the shipped weights for a result's tree and kind."""
    return shipped_weights(ROOT / result["tree"], result["model"])


def described(result):
    """A result with `unusual`, words for the settings (without sampler and calls) that differ from its model's own,
    and `headline`, whether all settings, sampler and calls too, are the model's own."""
    weights = weights_of(result)
    usual = {"num": USUAL_NUM, **read_json(weights.with_suffix(".json"))["recipe"]["sampler"]}
    usual |= {"label": None, "labels": "train", "real": "test"}
    own = usual.pop("name"), usual.pop("steps")
    words = [f"{setting} {result[setting]}" for setting, value in usual.items() if result[setting] != value]
    if digest(weights) != result["checkpoint"]:
        words.append(f"weights {result['checkpoint'][:6]}")
    headline = not words and (result["sampler"], result["steps"]) == own
    return {**result, "unusual": words, "headline": headline}


def file_stem(result):
    """The stem of a result's file in asset/results/: its tree, kind and setting."""
    parts = [result["tree"], result["model"], result["sampler"], str(result["steps"]), *result["unusual"]]
    parts += [result["device"]] if result["device"] != "cpu" else []
    return "-".join(parts).replace(" ", "")


def summary(results):
    """Combine results that differ in seeds: the one of median distance, with the spread of `over_floor`, and the fewest
    seconds on a machine like its own, which other work there disturbed least."""
    results = sorted(results, key=lambda r: r["over_floor"])
    distances, middle = spread([r["over_floor"] for r in results]), results[len(results) // 2]
    whole = [r for r in results if r["drawn"] == r["num"]]  # an interrupted one timed only a part
    alike = [r["seconds"] for r in whole if all(r[name] == middle[name] for name in MACHINE)]
    seconds, seeds = min(alike, default=None), sorted(r["seed"] for r in results)
    return {**middle, "over_floor": distances, "seconds": seconds, "seeds": seeds}


def gather(folders):
    """Copy the results below these folders to asset/results/, a file per setting for all its seeds, unless the one
    there has more seeds, or a FID or seconds where the new one has none."""
    for name in ("results", "edits"):
        (ASSET / name).mkdir(parents=True, exist_ok=True)
    found, before = {}, [*(ASSET / "results").glob("*.json")]
    results = {file_stem(described(result)): result for result in map(read_json, before)}
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.json")):
        if path.name not in ("result.json", "edits.json"):
            continue
        result = read_json(path, "delete it")
        weights = weights_of(result)
        shipped = weights.is_file() and result["checkpoint"] == digest(weights)
        if shipped and path.name == "result.json" and result["num"] >= ENOUGH:
            found.setdefault(file_stem(described(result)), {})[result["seed"]] = result
        elif shipped and path.name == "edits.json" and result["num"] == EDITED:
            write_json(ASSET / "edits" / f"{result['tree']}-{result['model']}.json", result)
        else:
            print(f"{path} is left out: another number of images, or other weights than the shipped ones")
    for stem, each in found.items():
        new = summary(each.values())
        old = results.get(stem, new)
        lost = [name for name in ("fid", "seconds") if new[name] is None and old[name] is not None]
        if len(new["seeds"]) < len(old["seeds"]) or lost:
            print(f"{stem} is left out: the result in asset/ has {' and '.join(lost) or 'more seeds'}")
        else:
            results[stem] = new
    for stem, result in results.items():
        write_json(ASSET / "results" / f"{stem}.json", result)
    for path in before:
        if path.stem not in results:  # its weights are not shipped any more, so its name tells them now
            path.unlink()


def measured():
    """The results in asset/results/, in the order of the tables."""
    results = [described(read_json(path)) for path in (ASSET / "results").glob("*.json")]
    results = [timed(result, results) for result in results]
    place = lambda r: PLACES.index((r["model"], r["tree"]))
    return sorted(results, key=lambda r: (place(r), -r["num"], r["sampler"], r["steps"], file_stem(r)))
