"""A small W&B server on a loopback port: the part of the protocol that the client uses, and its failures."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a" * 40


class WandbServer:
    """Keeps what it is sent, as W&B does.

    runs: by project/id: config, tags, group, job type, summary, history (lines by their offset), exit code.
    files: what runs upload, by its name.
    failure: what a request meets: None (is served), "500" or another status, "hang", "drop" (the connection is closed),
        or a function of the path that says which.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, Any]] = []
        self.failure: str | Callable[[str], str | None] | None = None
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    content = gzip.decompress(content)
                failure = server.failure(self.path) if callable(server.failure) else server.failure
                if failure == "hang":
                    server.released.wait(60)
                if failure in ("hang", "drop"):
                    self.close_connection = True
                    return
                try:
                    body = json.loads(content) if content else None
                except ValueError:
                    body = None  # telemetry and files
                server.requests.append((self.path, body))
                if self.path.startswith("/upload/") and not failure:
                    server.files[self.path.removeprefix("/upload/")] = content
                data = json.dumps({} if failure else server.serve(self.path, body)).encode()
                self.send_response(int(failure) if failure else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:  # clients that are gone
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens on the port any more."""
        self.http.shutdown()
        self.http.server_close()

    def close(self) -> None:
        self.released.set()
        self.refuse()

    def environment(self) -> dict[str, str]:
        """What points a client here, and nowhere else."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB__STATS_COREWEAVE_METADATA_BASE_URL": self.url,
        }

    def run(self, id: str) -> dict[str, Any]:
        return next(run for run in self.runs.values() if run["name"] == id)

    def serve(self, path: str, body: Any) -> Any:
        if path == "/graphql":
            name = body.get("operationName") or body["query"].split("(")[0].split("{")[0].split()[-1]
            variables = body.get("variables") or {}
            return {"data": getattr(self, f"on_{name}", lambda _: {})(variables)}
        if path.endswith("/file_stream"):
            self.stream("/".join(path.split("/")[3:5]), body)
        return {}

    def stream(self, path: str, body: dict[str, Any]) -> None:
        run = self.runs[path]
        for name, part in (body.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                for number, line in enumerate(part["content"], part["offset"]):
                    run["history"][number] = json.loads(line)
            elif name == "wandb-summary.json":
                run["summary"] = json.loads(part["content"][-1])
        if body.get("complete"):
            run["exitcode"] = body.get("exitcode", 0)
            run["state"] = "failed" if run["exitcode"] else "finished"

    # ------------------------------------------------------------------------------------------ GraphQL

    def on_Viewer(self, _: Any) -> Any:
        viewer = {"id": "1", "entity": "me", "username": "me", "name": "me", "email": "", "admin": False, "flags": "{}"}
        return {"viewer": {**viewer, "deletedAt": None, "teams": {"edges": []}, "apiKeys": {"edges": []}}}

    on_GetDefaultEntity = on_Viewer

    def on_RunHistoryKeys(self, given: Any) -> Any:
        return {"project": {"run": self.node(self.runs[f"{given['project']}/{given['name']}"])}}

    def on_RunResumeStatus(self, given: Any) -> Any:
        run = self.runs.get(f"{given['project']}/{given['name']}")
        return {"model": {"id": "p", "name": given["project"], "entity": _entity(), "bucket": run and self.node(run)}}

    def on_UpsertBucket(self, given: Any) -> Any:
        path = f"{given['project']}/{given['name']}"
        new = path not in self.runs
        run = self.runs.setdefault(
            path,
            {"name": given["name"], "project": given["project"], "history": {}, "summary": {}, "config": {}}
            | {"tags": [], "groupName": None, "jobType": None, "displayName": given["name"], "state": "running"},
        )
        for key in ("tags", "groupName", "jobType", "displayName"):
            if given.get(key) is not None:
                run[key] = given[key]
        if given.get("config"):
            run["config"] = json.loads(given["config"])
        return {"upsertBucket": {"bucket": self.node(run), "inserted": new}}

    def on_CreateRunFiles(self, given: Any) -> Any:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def on_Run(self, given: Any) -> Any:
        run = self.runs.get(f"{given['project']}/{given['name']}")
        return {"project": {"internalId": "1", "run": run and self.node(run)}}

    def on_Runs(self, given: Any) -> Any:
        found = [run for run in self.runs.values() if run["project"] == given["project"]]
        edges = [{"node": self.node(run), "cursor": str(k)} for k, run in enumerate(found)]
        page = {"endCursor": None, "hasNextPage": False}
        return {
            "project": {"internalId": "1", "runCount": len(found), "readOnly": False}
            | {"runs": {"edges": edges, "pageInfo": page}}
        }

    def on_RunFullHistory(self, given: Any) -> Any:
        run = self.runs[f"{given['project']}/{given['name']}"]
        return {
            "project": {"run": {"history": [json.dumps(_served(row)) for _, row in sorted(run["history"].items())]}}
        }

    def on_RunParquetHistory(self, given: Any) -> Any:
        run = self.runs[f"{given['project']}/{given['runName']}"]
        rows = [_served(row) for _, row in sorted(run["history"].items())]
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": rows}}}}

    def on_HistoryPage(self, given: Any) -> Any:
        run = self.runs[f"{given['project']}/{given['run']}"]
        rows = [row for _, row in sorted(run["history"].items()) if given["minStep"] <= row["_step"] < given["maxStep"]]
        return {"project": {"run": {"history": [json.dumps(_served(row)) for row in rows]}}}

    def on_UpsertView2(self, given: Any) -> Any:
        self.views.append(given)
        view = {key: given.get(key) for key in ("name", "displayName", "type", "description", "spec")}
        times = {"createdAt": _NOW, "updatedAt": _NOW}
        project = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
        return {"upsertView": {"view": {"id": "dmlldw==", **view, **times, "project": project}, "inserted": True}}

    on_upsertView = on_UpsertView2

    def on_GetProjects(self, given: Any) -> Any:
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [], "pageInfo": page}}

    def node(self, run: dict[str, Any]) -> dict[str, Any]:
        history = [json.dumps(_served(row)) for _, row in sorted(run["history"].items())]
        return {
            **{key: run[key] for key in ("name", "displayName", "state", "jobType", "tags")},
            **{
                "id": run["name"],
                "group": run["groupName"],
                "groupName": run["groupName"],
                "description": "",
                "notes": "",
            },
            **{
                "config": json.dumps(run["config"]),
                "summaryMetrics": json.dumps(_served(run["summary"])),
                "systemMetrics": "{}",
            },
            **{"sweepName": None, "readOnly": False, "commit": None, "heartbeatAt": _NOW, "createdAt": _NOW},
            **{"user": {"name": "me", "username": "me"}, "historyLineCount": len(history), "projectId": "1"},
            **{"historyTail": json.dumps(history[-1:]), "eventsTail": "[]", "eventsLineCount": 0, "logLineCount": 0},
            **{"project": {"id": "p", "name": run["project"], "entity": _entity()}, "wandbConfig": '{"t": 1}'},
            "historyKeys": {"lastStep": len(history) - 1, "keys": {}},
        }


_NOW = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(0))


def _served(row: dict[str, Any]) -> dict[str, Any]:
    """Clients send NaN and Infinity bare, which is no JSON; W&B gives them back as strings."""
    bare = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return {key: bare.get(str(value), value) if isinstance(value, float) else value for key, value in row.items()}


def _entity() -> dict[str, str]:
    return {"id": "e", "name": "me"}
