"""Renders the templates of a JSON file by transformers' environment, and writes what comes out beside them.

    python chat_expressions.py ../../crates/adamole-chat/tests/expressions.json

The file holds `variables` and `renderings`, a list of [template, text]; the text of an error is null. It needs
transformers 5, and is run by hand after templates were added.
"""

import json
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template


def rendered(template, variables):
    try:
        return _compile_jinja_template(template).render(**variables)
    except Exception:  # noqa: BLE001 - whatever it is, ours has to be an error too
        return None


path = sys.argv[1]
with open(path) as file:
    content = json.load(file)
content["renderings"] = [[template, rendered(template, content["variables"])] for template, _ in content["renderings"]]
lines = ",\n".join("    " + json.dumps(pair, ensure_ascii=False) for pair in content["renderings"])
with open(path, "w") as file:
    file.write('{\n  "variables": %s,\n  "renderings": [\n%s\n  ]\n}\n' % (json.dumps(content["variables"], ensure_ascii=False), lines))
