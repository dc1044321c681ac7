"""Sphinx's settings; before it reads the pages, the reference, the commands' help and the gallery are written."""

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

ROAD = {  # the modules in the order of the road; what is not named here comes last
    "Images and data": ("images", "datasets", "splits"),
    "Local features": ("local", "sift", "keypoints", "fixedwords", "featuremap", "networks", "streaming"),
    "Codes": ("encoders", "codes", "codebooks", "vocabulary_tree", "mixtures"),
    "The pyramid": ("pyramid", "binning", "norms", "boxes"),
    "Whole models": ("vectorizer", "presets", "combination", "multiview", "storage"),
    "Kernels and classifiers": ("kernels", "kernel_maps", "svm"),
    "Experiments": ("protocols", "comparison", "evidence", "decisions", "plots", "report"),
    "Errors": ("errors",),
}
HIDDEN = {"cli"}  # has a page of its own


def modules():
    """List the public modules of spm, without those inside a package."""
    names = [module.name for module in pkgutil.iter_modules(spm.__path__)]
    return [name for name in names if not name.startswith("_") and name not in HIDDEN]


def members(name):
    """Return what a module offers, in the order of its source: the names that the reference documents."""
    module = importlib.import_module(f"spm.{name}")
    listed = getattr(module, "__all__", None) or [
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    return [key for key in listed if callable(getattr(module, key))]


def full_name(name, member):
    """Return by which name a member is imported: that of ``import spm``, if it has one."""
    return f"spm.{member}" if spm._HOMES.get(member) == name else f"spm.{name}.{member}"


def module_page(name):
    """Write the page of one module: its opening words, then every member."""
    module = importlib.import_module(f"spm.{name}")
    lines = [f"spm.{name}", "=" * (len(name) + 4), "", f".. automodule:: spm.{name}", ""]
    for member in members(name):
        kind = "autoclass" if inspect.isclass(getattr(module, member)) else "autofunction"
        package, _, bare = full_name(name, member).rpartition(".")
        lines += [bare, "-" * len(bare), "", f".. currentmodule:: {package}", "", f".. {kind}:: {bare}"]
        lines += ["   :members:", "   :inherited-members:", ""] if kind == "autoclass" else [""]
    return "\n".join(lines)


def write_reference(folder):
    """Write a page for every module, and the index that lists them along the road."""
    known = modules()
    groups = {title: [name for name in names if name in known] for title, names in ROAD.items()}
    placed = {name for names in groups.values() for name in names}
    for stale in {path.stem for path in folder.glob("*.rst")} - {*known, "index"}:
        (folder / f"{stale}.rst").unlink()
    groups["Inside"] = [name for name in known if name not in placed]
    index = ["API reference", "=============", "", INTRODUCTION, ""]
    for title, names in groups.items():
        index += [title, "-" * len(title), "", ".. autosummary::", ""]
        index += [f"   {full_name(name, member)}" for name in names for member in members(name)] + [""]
        index += [".. toctree::", "   :hidden:", "", *(f"   {name}" for name in names), ""]
        for name in names:
            write(folder / f"{name}.rst", module_page(name))
    write(folder / "index.rst", "\n".join(index))


INTRODUCTION = (
    "Every public name with its docstring, module by module, along the road of an image. The names that stand here as "
    "``spm.name`` come with ``import spm``, others with their module, such as ``spm.binning``. Methods that come from "
    "scikit-learn, such as ``fit_transform``, are not repeated. What is under “Inside” is used by the rest and may "
    "change between versions."
)


def write_commands(path):
    """Write the help of every command."""
    os.environ["COLUMNS"] = "80"
    parser = spm.cli._parser()
    commands = next(action.choices for action in parser._actions if isinstance(action.choices, dict))
    lines = ["# The command `spm`", "", COMMANDS, "", "```text", parser.format_help().rstrip(), "```"]
    for name, command in commands.items():
        lines += ["", f"## spm {name}", "", "```text", command.format_help().rstrip(), "```"]
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
