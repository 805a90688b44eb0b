"""The laws of the package: who may import whom, what is public, and which errors there are."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sm_async_nb
from sm_async_nb import errors

PACKAGE = "sm_async_nb"
ROOT = Path(sm_async_nb.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# What each part may import of ours, besides itself. Parts are folders, and the files beside them.
ALLOWED = {
    "errors": set(),
    "core": {"errors"},
    "aws": {"errors", "core"},
    "job": {"errors", "core", "aws"},
    "notebook": {"errors", "core", "aws", "job"},
    "local": {"errors", "core"},
    "testing": {"errors", "core", "aws", "job", "local"},
    "demo": {"errors", "core", "aws", "job", "local", "testing", ""},
    "": {"errors", "core", "job", "local", "notebook"},
}
# Where a package of somebody else's may be used.
HOMES = {
    **{name: {"aws", "local"} for name in ("boto3", "botocore", "aiobotocore", "s3fs", "fsspec", "aiohttp")},
    **{name: {"local"} for name in ("moto", "werkzeug")},
    **{name: {"notebook"} for name in ("ipywidgets", "anywidget", "traitlets")},
    "IPython": {"notebook", ""},
    "obstore": {"aws"},
    "sklearn": {"demo"},
}


def part_of(module):
    """``sm_async_nb.core.ledger`` belongs to ``core``, the package itself to the part without a name."""
    names = module.split(".")
    return names[1] if len(names) > 1 else ""


def module_of(file):
    parts = [PACKAGE, *file.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file):
    """Every module that a file imports: at its top, inside functions, and for types only."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively, which hides where from"
            found |= {_imported(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in {
            "import_module",
            "__import__",
        }:
            found |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    return found


def _imported(module, name):
    """``from package import module`` imports the module; ``from module import name`` does not."""
    if module != PACKAGE and not module.startswith(f"{PACKAGE}."):
        return module
    path = ROOT.joinpath(*module.split(".")[1:], name)
    return f"{module}.{name}" if path.is_dir() or path.with_suffix(".py").exists() else module


def lazy_homes(module):
    """The modules from which a package's names are loaded on first use."""
    return set(getattr(importlib.import_module(module), "_HOMES", {}).values())


def test_the_laws_are_about_every_file_there_is():
    """A new folder has to be given its place first."""
    assert {part_of(module_of(file)) for file in FILES} <= set(ALLOWED)


@pytest.mark.parametrize("file", FILES)
def test_imports_point_one_way(file):
    """errors, core, aws, job, notebook: each may use those before it, and nothing uses notebook."""
    module = module_of(file)
    ours = {name for name in imports_of(file) if name.split(".")[0] == PACKAGE}
    if file.endswith("__init__.py"):
        ours |= lazy_homes(module)
    part = part_of(module)

    assert {part_of(name) for name in ours} - {part} <= ALLOWED[part]


@pytest.mark.parametrize("file", FILES)
def test_the_packages_of_others_are_used_where_they_belong(file):
    """AWS's in aws/ and local/, widgets in notebook/: the rest can be read, tested and replaced without them."""
    part = part_of(module_of(file))
    used = {name.split(".")[0] for name in imports_of(file)}

    assert {name for name in used & set(HOMES) if part not in HOMES[name]} == set()


def test_the_core_uses_arrays_frames_and_texts_and_nothing_that_does_io():
    """No I/O can be done with these."""
    core = [file for file in FILES if file.startswith("core/")]
    used = {name.split(".")[0] for file in core for name in imports_of(file)} - {PACKAGE}
    without_io = {"asyncio", "socket", "threading", "time", "os", "pathlib", "subprocess", "urllib", "http", "tempfile"}

    assert used - set(sys.stdlib_module_names) <= {"jinja2", "jmespath", "numpy", "orjson", "pandas", "pyarrow"}
    assert used & without_io == set()


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("core/")])
def test_the_core_never_asks_the_time(file):
    """``now`` is an argument, or a six-hour expiry could not be tested in microseconds."""
    calls = re.findall(
        r"\b(?:datetime\.now|time\.time|time\.monotonic|utcnow|perf_counter|today)\(", (ROOT / file).read_text()
    )

    assert calls == []


# Public names


def test_there_are_at_most_fifteen_public_names_and_each_is_there():
    """A user learns them all."""
    names = sm_async_nb.__all__

    assert len(names) <= 15
    assert len(names) == len(set(names))
    assert {name for name in names if getattr(sm_async_nb, name, None) is None} == set()


def test_a_name_that_is_not_there_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="module 'sm_async_nb' has no attribute 'nonsense'"):
        sm_async_nb.nonsense  # noqa: B018


@pytest.mark.parametrize("module", ["sm_async_nb.local", "sm_async_nb.testing"])
def test_every_name_a_module_offers_is_there(module):
    """Lazy ones included."""
    offered = getattr(importlib.import_module(module), "__all__", [])

    assert all(hasattr(importlib.import_module(module), name) for name in offered)


def loaded_by(code):
    """What is in sys.modules after some code in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_pandas_and_little_else():
    """What takes a second is loaded by those who submit; pandas itself may load pyarrow, and is not blamed on us."""
    more = loaded_by("import sm_async_nb") - loaded_by("import pandas")

    assert more - set(sys.stdlib_module_names) == {PACKAGE}


def test_the_core_can_be_imported_without_an_sdk():
    """It takes the service model as an argument."""
    modules = [module_of(file) for file in FILES if file.startswith("core/")]
    loaded = loaded_by("import " + ", ".join(modules))

    assert loaded & {"boto3", "botocore", "aiobotocore", "s3fs", "fsspec", "aiohttp", "IPython", "moto"} == set()


# Errors


def documented_tree():
    """The tree of the docstring: each class with its parent, and with what is said about it."""
    parents, told, path = {}, {}, []
    for drawn in re.finditer(r"^([ │├└─]*)(\w+Error)\b(.*)$", errors.__doc__.replace("\u00a0", " "), re.MULTILINE):
        depth = len(drawn[1]) // 4
        path[depth - 1 :] = [drawn[2]]
        parents[drawn[2]] = path[-2] if len(path) > 1 else None
        told[drawn[2]] = drawn[3].strip()
    return parents, told


PARENTS, TOLD = documented_tree()
CLASSES = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if found.__module__ == errors.__name__ and issubclass(found, BaseException) and not issubclass(found, Warning)
}
WHO_CAN_ACT = (errors.RequestError, errors.EndpointError, errors.NotYetError)


def test_the_documented_tree_has_every_error():
    """And no other."""
    assert set(CLASSES) == set(PARENTS)


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_hangs_where_the_documented_tree_has_it(name):
    """The first of its bases that is ours."""
    ours = [base.__name__ for base in CLASSES[name].__mro__[1:] if base.__name__ in CLASSES]

    assert PARENTS[name] == (ours[0] if ours else None)


@pytest.mark.parametrize("name", CLASSES)
def test_what_else_an_error_is_stands_in_the_tree(name):
    """``except ValueError`` and ``except TimeoutError`` are promises too."""
    builtin = [base for base in CLASSES[name].__bases__ if base.__module__ == "builtins" and base is not Exception]
    said = re.findall(r"also an? (\w+)", TOLD[name])

    assert [base.__name__ for base in builtin] == said


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"SmAsyncError", "IllegalFactError"}))
def test_exactly_one_can_act_on_an_error(name):
    """You, the endpoint's owner, or nobody yet; only a defect of this package is none of the three."""
    assert [True] == [True for base in WHO_CAN_ACT if issubclass(CLASSES[name], base)]


def test_a_defect_is_nobodys_fault_but_ours():
    """It is caught with everything of this package, and with nothing else."""
    assert issubclass(errors.IllegalFactError, errors.SmAsyncError)
    assert not issubclass(errors.IllegalFactError, WHO_CAN_ACT)


def test_a_refusal_carries_the_words_of_the_service():
    """Code, status and request id, for those who ask support."""
    refusal = errors.InvocationRefusedError("no", code="ValidationError", status=400, request_id="r-1")

    assert ("no", "ValidationError", 400, "r-1") == (str(refusal), refusal.code, refusal.status, refusal.request_id)


def test_trouble_tells_throttling_from_being_out_of_order():
    """One asks for fewer calls, the other for patience."""
    assert [False, True] == [
        errors.ServiceTroubleError("503").throttled,
        errors.ServiceTroubleError("429", throttled=True).throttled,
    ]
