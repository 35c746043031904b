"""A contract can be proposed for every model of this project, by the manifest that dbt itself writes."""

import json
from pathlib import Path
from typing import Any

from lakehouse.contracts.declarations import propose_dbt
from lakehouse.contracts.loader import check, load


def test_of_every_model(manifest: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(manifest))
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert models
    for node in models:
        path = tmp_path / f"{node['name']}.yaml"
        path.write_text(propose_dbt(file, node["unique_id"], "gold", None), encoding="utf-8")
        assert check([path]) == []
        of = load(path)
        assert [column.source_name for column in of.columns] == list(node["columns"])
        assert {column.source_name: column.type for column in of.columns if column.type != "string"} == {
            name: kind
            for name, column in node["columns"].items()
            if (kind := column["data_type"].replace("integer", "int").replace(" ", "")) != "string"
        }
    assert load(tmp_path / "fct_orders.yaml").keys == ("order_id",)
