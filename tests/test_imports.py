"""Which room may import which (docs/architecture.md has the table), and that importing chooses no reactor."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bittwist"
FREE = {"errors", "address", "settings", "__version__"}  # any room may import these
ALLOWED = {
    "metainfo": set[str](),
    "utp": set[str](),
    "wire": {"metainfo"},
    "announce": {"metainfo"},
    "dht": {"metainfo"},
    "swarm": {"metainfo"},
    "net": set[str](),
    "peer": {"metainfo", "wire", "utp", "net"},
    "storage": {"metainfo"},
    "discovery": {"metainfo", "announce", "dht", "wire", "net"},
    "tracker": {"metainfo", "announce", "net"},
    "session": {"metainfo", "wire", "announce", "swarm", "net", "peer", "storage", "discovery"},
    "control": {"metainfo", "session", "net"},
    "testing": {
        "metainfo",
        "utp",
        "wire",
        "announce",
        "dht",
        "swarm",
        "net",
        "peer",
        "storage",
        "discovery",
        "tracker",
    },
}
PURE = {"metainfo", "utp", "wire", "announce", "dht", "swarm"}
IMPURE_MODULES = {
    "time",
    "random",
    "os",
    "socket",
    "threading",
    "asyncio",
    "subprocess",
    "pathlib",
    "io",
    "shutil",
}
TYPES_ONLY = {("random", "Random"), ("pathlib", "PurePosixPath")}  # values and seams, not chance or files
KLEIN_IMPORTERS = {"tracker.resource", "tracker.admin_resource", "control"}


def modules() -> list[str]:
    """Every module, as `room.module`; a room's own is `room`."""
    return sorted(_name(path) for path in PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _path(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: str) -> Iterator[tuple[str, str | None]]:
    """What a module imports, wherever it does, as (module, name or None)."""
    for node in ast.walk(ast.parse(_path(module).read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def rooms_imported(module: str) -> set[str]:
    """The rooms, and the free modules, that a module imports."""
    found = set()
    for source, name in imports(module):
        if source == "bittwist" and name is not None:
            found.add(name)
        elif source.startswith("bittwist."):
            found.add(source.split(".")[1])
    return found


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_the_rooms_its_room_may(module: str) -> None:
    room = module.partition(".")[0]
    if room in ("app", "__main__"):
        return
    allowed = {room, *ALLOWED.get(room, set()), *FREE}
    assert rooms_imported(module) <= allowed


def test_every_room_is_in_the_table() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= {*ALLOWED, "app"}


def test_tracker_and_session_do_without_each_other() -> None:
    assert "session" not in ALLOWED["tracker"]
    assert "tracker" not in ALLOWED["session"]


@pytest.mark.parametrize("module", [name for name in modules() if name.partition(".")[0] in PURE])
def test_a_pure_room_knows_no_reactor_no_clock_no_chance_and_no_file(module: str) -> None:
    for source, name in imports(module):
        root = source.partition(".")[0]
        assert root not in ("twisted", "klein", "treq"), f"{module} imports {source}"
        assert root not in IMPURE_MODULES or (source, name) in TYPES_ONLY, f"{module} imports {source}.{name}"


def test_klein_is_imported_by_the_resources_only() -> None:
    importers = {
        module
        for module in modules()
        if any(source.partition(".")[0] == "klein" for source, _ in imports(module))
    }
    assert all(module.startswith(tuple(KLEIN_IMPORTERS)) for module in importers)


def test_the_plugin_file_imports_nothing_of_ours() -> None:
    plugin = PACKAGE.parent / "twisted" / "plugins" / "bittwist_plugin.py"
    tree = ast.parse(plugin.read_text())
    sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert sources == {"twisted.application.service"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]


def test_no_import_installs_a_reactor() -> None:
    """All modules but those that import klein, the taps and the command line, in a process of their own."""
    door = {"app.tracker_tap", "app.peer_tap", "__main__"} | KLEIN_IMPORTERS
    wanted = [
        module for module in modules() if not module.startswith(("control", "app.cli")) and module not in door
    ]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'twisted.internet.reactor' in sys.modules: sys.exit(name)\n"
    )
    names = [f"bittwist.{module}" if module else "bittwist" for module in wanted]
    done = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"the reactor is there after importing {done.stderr}"
