"""A preprocessor of mdBook: links out of `docs` lead to the repository's files, as they do on a page that shows the sources."""

import json
import re
import sys

LINK = re.compile(r"\]\(\.\./([^)\s]+)\)")


def rewritten(items, repository):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            chapter["content"] = LINK.sub(rf"]({repository}/blob/main/\1)", chapter["content"])
            rewritten(chapter["sub_items"], repository)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "supports":
        sys.exit(0)
    context, book = json.load(sys.stdin)
    # The list of chapters has been called by both names.
    chapters = book.get("items", book.get("sections"))
    rewritten(chapters, context["config"]["output"]["html"]["git-repository-url"])
    json.dump(book, sys.stdout)
