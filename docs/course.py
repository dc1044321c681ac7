"""The notebooks as pages: the files as they were committed in, pages with their text, code, outputs and figures out."""

import base64
import json
import re

KINDS = {"image/png": "png", "image/jpeg": "jpg"}


def write(notebooks, folder):
    """Write a page for every notebook, and the index of them all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(notebooks.glob("*.ipynb"))
    for path in paths:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        parts = [part for number, cell in enumerate(cells) for part in parts_of(cell, f"{path.stem}-{number}", folder)]
        file = f"The file, to run and change: `notebooks/{path.name}`."
        put(folder / f"{path.stem}.md", "\n\n".join([parts[0], file, *parts[1:]]) + "\n")
    listed = "\n".join(path.stem for path in paths)
    put(folder / "index.md", f"# Notebooks\n\n{INTRODUCTION}\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")


INTRODUCTION = """A course in seven parts, from patches to trained networks, with the outputs that they were committed
with. All download nothing; each runs in one or two minutes. The files lie in `notebooks/`, and beside them
`notebooks/exercises/`, mistakes to find and mend. A plan for two hours in class is in {doc}`../guide/teaching`."""


def parts_of(cell, name, folder):
    """Yield the parts of a page that show a cell; its pictures become files that begin with `name`."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        links = re.sub(r"\]\((\d_\w+)\.ipynb\)", r"](\1.md)", source)
        yield re.sub(r"\[([^]]+)\]\((?!https?:|#|\d_)[^)]*\)", r"\1", links)  # what is no page of the site
        return
    yield fenced(source, "python")
    for k, output in enumerate(cell.get("outputs", [])):
        data = output.get("data", {})
        kind = next((kind for kind in KINDS if kind in data), None)
        if kind is not None:
            picture = folder / f"{name}-{k}.{KINDS[kind]}"
            picture.write_bytes(base64.b64decode("".join(data[kind])))
            yield f"![what the lines above draw]({picture.name})"
        elif output["output_type"] == "stream" or "text/plain" in data:
            yield fenced("".join(output.get("text", "")) or "".join(data["text/plain"]), "text")


def fenced(text, language):
    """Return text as a block that nothing in it can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def put(path, text):
    """Write a page, unless it is there already: Sphinx reads again only what has changed."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
