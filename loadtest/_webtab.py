"""The tab "Serializers" of locust's web UI: a table of its own, and charts above it.

Locust's documented ways to extend its UI: a Flask blueprint, `extended_tabs` and `extended_tables`
in the template arguments, `extended_stats` in the answer that the page asks for every other second.
They can show tables; the charts are drawn by a script of ours in an element of ours, which the
application does not know and so leaves alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request
from locust.runners import STATE_INIT, STATE_SPAWNING, STATE_STOPPED
from locust.web import WebUI

from loadtest._report import parts, rows
from loadtest._run import Run

KEY: Final = "serializers"
TITLE: Final = "Serializers"
SCRIPT: Final = Path(__file__).with_name("charts.js")
COLUMNS: Final = {
    "name": "What",
    "lane": "Serializer",
    "requests": "Count",
    "failures": "Failed",
    "p50_ms": "Median (ms)",
    "p95_ms": "95% (ms)",
    "p99_ms": "99% (ms)",
    "most_ms": "Longest (ms)",
    "size": "Bytes sent",
}


def install(web_ui: WebUI, run: Run) -> None:
    """Add the tab; the web UI must not serve yet."""
    assert web_ui.app is not None
    web_ui.template_args["extended_tabs"] = [{"title": TITLE, "key": KEY}]
    web_ui.template_args["extended_tables"] = [
        {"key": KEY, "structure": [{"key": key, "title": COLUMNS[key]} for key in COLUMNS]}
    ]
    tab = Blueprint("greensalt", __name__, url_prefix="/greensalt")

    @tab.route("/charts.js")
    @web_ui.auth_required_if_enabled
    def script() -> Response:
        return Response(SCRIPT.read_bytes(), mimetype="text/javascript")

    @tab.route("/data")
    @web_ui.auth_required_if_enabled
    def figures() -> Response:
        return jsonify(data(run))

    web_ui.app.register_blueprint(tab)

    @web_ui.app.before_request
    def choose_shape() -> None:
        """The form may choose a model that wants a load shape: locust looks for one at once."""
        if request.method == "POST" and request.path.endswith("/swarm"):
            run.choose(request.form.get("model"))

    @web_ui.app.after_request
    def extend(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            table = {"key": KEY, "data": [row._asdict() for row in rows(run.environment)]}
            answer = {**response.get_json(), "extended_stats": [table]}
            if run.is_starting:  # else the page takes the run for one that has ended
                answer["state"] = STATE_SPAWNING
            response.set_data(json.dumps(answer))
        elif request.path.endswith("/swarm") and response.is_json:
            if response.get_json()["success"] and run.environment.runner is not None:
                run.is_starting = run.environment.runner.state in (STATE_INIT, STATE_STOPPED)
        elif request.endpoint == "locust.index" and response.mimetype == "text/html":
            base = request.path.rstrip("/")
            ours = f'<div id="greensalt"></div><script src="{base}/greensalt/charts.js"></script>'
            page = response.get_data(as_text=True)
            response.set_data(page.replace("</body>", f"{ours}</body>"))
        return response


def data(run: Run) -> dict[str, Any]:
    """What the charts show: of the run that goes on, or of the last one."""
    meters = run.usages
    if meters is None and run.report is not None:
        return run.report.as_json()
    found = rows(run.environment)
    return {
        "rows": [row._asdict() for row in found],
        "usages": [each._asdict() for each in meters.usages()] if meters else [],
        "machine_percent": meters.machine_percent if meters else 0.0,
        "parts": [each._asdict() for each in parts(found, run.lanes, run.shares)],
        "verdict": meters.verdict() if meters else [],
        "knee": "",
    }
