"""Sphinx's settings; before it reads the pages, those that are made by code are written, such as the reference."""

import importlib
import inspect
import os
import pkgutil
import re
import sys
from pathlib import Path

from docutils import nodes

import spm
import spm.cli

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import course  # noqa: E402
import gallery  # noqa: E402

project = "spm"
author = "the spm developers"
copyright = author
version = release = spm.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"spm {release}"
html_show_sourcelink = False

default_role = "py:obj"  # `name` is a link where the name is known, and plain code elsewhere
autodoc_typehints = "none"  # the docstrings have the types
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autosummary_generate = False
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

ROAD = {  # the folders of spm in the order of the road, a page each
    "features": "Local features",
    "networks": "Networks",
    "codebooks": "Codebooks",
    "encoders": "Codes",
    "pyramid": "The pyramid",
    "vectorizer": "The road itself",
    "kernels": "Kernels",
    "classifiers": "Classifiers",
    "detection": "Detection",
    "nn": "Training networks",
    "presets": "Presets",
    "evaluation": "Experiments",
    "evidence": "Evidence",
    "plots": "Figures",
    "report": "Reports",
    "datasets": "Data",
    "storage": "Saving",
    "images": "Images",
    "boxes": "Boxes",
    "errors": "Errors",
}


def modules(folder):
    """List the modules of a folder of spm, or the one file, but for those that begin with ``_``."""
    package = importlib.import_module(f"spm.{folder}")
    inner = [module.name for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"spm.{folder}.")]
    return [package, *(importlib.import_module(name) for name in inner if "._" not in name)]


def members(folder):
    """Return what a folder offers, by the name that it is imported by: public homes are shorter than files' places."""
    found = {}
    for module in modules(folder):
        public = vars(module).get("__test__", {})
        for key, value in vars(module).items():
            own = key in public or getattr(value, "__module__", None) == module.__name__
            if own and callable(value) and not key.startswith("_"):
                found[f"{value.__module__}.{key}"] = value
    return dict(sorted(found.items(), key=lambda item: item[0].count(".")))  # what keeps its name first


def folder_page(folder):
    """Write the page of one folder: its opening words, then every member."""
    lines = [f"spm.{folder}", "=" * (len(folder) + 4), "", f".. automodule:: spm.{folder}", ""]
    for name, value in members(folder).items():
        kind = "autoclass" if inspect.isclass(value) else "autofunction"
        package, _, bare = name.rpartition(".")
        lines += [bare, "-" * len(bare), "", f".. currentmodule:: {package}", "", f".. {kind}:: {bare}"]
        lines += ["   :members:", "   :inherited-members:", ""] if kind == "autoclass" else [""]
    return "\n".join(lines)


def write_reference(folder):
    """Write a page for every folder, and the index that lists them along the road."""
    for stale in {path.stem for path in folder.glob("*.rst")} - {*ROAD, "index"}:
        (folder / f"{stale}.rst").unlink()
    index = ["API reference", "=============", "", INTRODUCTION, ""]
    for name, title in ROAD.items():
        index += [title, "-" * len(title), "", ".. autosummary::", ""]
        index += [
            *(f"   {member}" for member in members(name)),
            "",
            ".. toctree::",
            "   :hidden:",
            "",
            f"   {name}",
            "",
        ]
        write(folder / f"{name}.rst", folder_page(name))
    write(folder / "index.rst", "\n".join(index))


INTRODUCTION = (
    "Every name with its docstring, folder by folder, along the road of an image. What stands here as ``spm.name`` "
    "comes with ``import spm`` and keeps its name, and so does what stands as ``spm.kernels.name`` and the like; what "
    "has a longer name, such as ``spm.pyramid.bins.bins``, is used by the rest and may move between versions. Methods "
    "that come from scikit-learn, such as ``fit_transform``, are not repeated."
)


def commands_of(parser):
    """Yield the parser of every command, those within a command behind it."""
    for action in parser._actions:
        if isinstance(action.choices, dict) and not action.option_strings and action.nargs == "A...":
            for command in action.choices.values():
                yield command
                yield from commands_of(command)


def write_commands(path):
    """Write the help of every command."""
    os.environ["COLUMNS"] = "80"
    parser = spm.cli._parser()
    lines = ["# The command `spm`", "", COMMANDS, "", "```text", parser.format_help().rstrip(), "```"]
    for command in commands_of(parser):
        lines += ["", f"## {command.prog}", "", "```text", command.format_help().rstrip(), "```"]
    write(path, "\n".join(lines) + "\n")


COMMANDS = (
    "Ctrl-C stops any command cleanly. Errors are one line on standard error, and the exit status is not 0; results go "
    "to standard output."
)


def write(path, text):
    """Write a page, unless it is there already: Sphinx reads again only what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def is_foreign(app, what, name, value, skip, options):
    """Leave out what a class has from scikit-learn or from Python; None keeps what Sphinx would do."""
    function = getattr(value, "fget", value)
    origin = getattr(function, "__module__", None) or getattr(
        getattr(function, "__objclass__", None), "__module__", "spm"
    )
    return None if origin.partition(".")[0] == "spm" else True


def escape(app, what, name, value, options, lines):
    """Take the names that end in ``_`` and the bars of ``|x|`` in docstrings for what they are: plain text."""
    in_example = False
    for number, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        if not in_example:
            parts = re.split(r"(``.*?``|`.*?`)", line)
            parts[::2] = [re.sub(r"(?<=\w)(_)(?!\w)|(\|)", r"\\\1\2", part) for part in parts[::2]]
            lines[number] = "".join(parts)


def link(app, doctree, page):
    """Make code in the guide that is a public name, such as ``KernelSVC``, a link to where it is documented."""
    known = app.env.domains["py"].objects
    for code in list(doctree.findall(nodes.literal)):
        name = code.astext().removesuffix("()")
        found = known.get(name) or known.get(f"spm.{name}")
        mistaken = found and found.objtype == "module" and page.startswith("api/")  # there `images` is an argument
        if found and not mistaken and not isinstance(code.parent, nodes.reference):
            uri = app.builder.get_relative_uri(page, found.docname)
            code.replace_self(nodes.reference("", "", code.deepcopy(), internal=True, refuri=f"{uri}#{found.node_id}"))


def setup(app):
    """Write the pages that are made by code."""
    app.connect("doctree-resolved", link)
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("autodoc-process-docstring", escape, priority=900)  # behind napoleon
    write_reference(HERE / "api")
    write_commands(HERE / "commands.md")
    gallery.page(HERE / "gallery")
    course.write(gallery.NOTEBOOKS, HERE / "notebooks")
