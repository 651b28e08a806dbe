"""What each library's own reader gives back: every epoch of every run, doubles included."""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hw2tune.integrations.tensorboard import TAGS

Epochs = dict[str, dict[str, list[tuple[int, float]]]]  # run -> metric -> (epoch, value), as often as it is there
RESULTS = ("best_", "test_", "last_test_", "seconds")


def tensorboard(place: Path) -> Epochs:
    """Through EventAccumulator, on which TensorBoard itself stands."""
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    read = EventMultiplexer(size_guidance={"scalars": 0}, purge_orphaned_data=False).AddRunsFromDirectory(str(place))
    read.Reload()
    names = {tag: name for name, tag in TAGS.items()}
    return {
        run: {
            names.get(tag, tag): [(event.step, event.value) for event in read.Scalars(run, tag)]
            for tag in tags["scalars"]
            if not tag.startswith("result/")
        }
        for run, tags in read.Runs().items()
    }


def mlflow(uri: str, experiment: str) -> Epochs:
    """Through MLflow's client; runs of one name would be joined, and their epochs be double."""
    from mlflow import MlflowClient

    client, found = MlflowClient(tracking_uri=uri), defaultdict(lambda: defaultdict(list))
    for run in mlflow_runs(uri, experiment):
        if "mlflow.parentRunId" in run.data.tags:
            found[run.info.run_name].update({})
            for name in run.data.metrics:
                if not name.startswith(RESULTS):
                    history = client.get_metric_history(run.info.run_id, name)
                    found[run.info.run_name][name] += [(one.step, one.value) for one in history]
    return found


def mlflow_runs(uri: str, experiment: str) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=1000))


def wandb(place: Path) -> Epochs:
    found = defaultdict(lambda: defaultdict(list))
    for run in wandb_runs(place).values():
        for row in run["history"]:
            for name, value in row.items():
                if not name.startswith("_") and name != "epoch":
                    found[run["name"]][name].append((int(row["_step"]), value))
    return found


def wandb_runs(place: Path) -> dict[str, dict]:
    """By id, from the files that `wandb sync` sends: name, group, config, history rows, summary."""
    found: dict[str, dict] = {}
    for path in sorted(place.glob("*run-*/run-*.wandb")):
        run = {"history": [], "summary": {}, "ended": False}
        for record in _wandb_records(path.read_bytes()):
            match record.WhichOneof("record_type"):
                case "run":
                    run |= {"name": record.run.display_name, "group": record.run.run_group, "id": record.run.run_id}
                    config = {one.key: json.loads(one.value_json) for one in record.run.config.update}
                    run["config"] = {k: v for k, v in config.items() if k != "_wandb"}
                case "history":
                    items = record.history.item
                    run["history"].append({(i.key or i.nested_key[0]): json.loads(i.value_json) for i in items})
                case "summary":
                    updates = record.summary.update
                    run["summary"] |= {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in updates}
                case "exit":
                    run["ended"] = True
        assert run["id"] not in found, f"{run['id']} is there twice"
        found[run["id"]] = run
    return found


def _wandb_records(content: bytes) -> Iterator:
    """The records of a .wandb file: LevelDB's log format behind a header of 7 bytes, W&B's own messages in it.

    (wandb 0.31 has its reader in its binary; that of 0.22, `wandb.sdk.internal.datastore`, gives the same records.)
    """
    from wandb.proto import wandb_internal_pb2

    assert content[:4] == b":W&B"
    position, parts = 7, b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""
